"""Strengths of systems from pairs of which one was preferred (Bradley and Terry 1952)."""

from __future__ import annotations

import numpy as np

from textenv.benchmark.agreement.rank_correlation import FloatArray
from textenv.benchmark.agreement.ratings import IntArray

_STEPS = 3_000  # at most: the prior alone holds the scale, so that the last digits come slowly
_TOLERANCE = 1e-9
_PRIOR = 0.5  # wins, and as many losses, against an average system that each one begins with


def win_chances(
    systems: IntArray, preferred: FloatArray, n_systems: int, weights: FloatArray
) -> FloatArray:
    """Returns each system's chance to be preferred to an average one, in every resample.

    The strengths p maximise the likelihood p_i / (p_i + p_j) of the pairs, by the MM algorithm
    (Hunter 2004, doi 10.1214/aos/1079120141); a tie is half a win for both. Half a win and half a
    loss against a system of strength 1 keep them finite where one system always wins, and fix their
    scale.

    Args:
        systems: (pairs, 2) the systems of the first and the second text.
        preferred: (pairs,) 1 for the first, -1 for the second, 0 for neither.
        n_systems: Number of systems.
        weights: (r, pairs) how often each pair counts.

    Returns:
        (r, n_systems), p / (1 + p).
    """
    first_wins = (preferred + 1) / 2
    wins = np.zeros((len(weights), n_systems, n_systems))
    for (first, second), share, counts in zip(systems, first_wins, weights.T, strict=True):
        wins[:, first, second] += share * counts
        wins[:, second, first] += (1 - share) * counts
    games = wins + wins.transpose(0, 2, 1)
    won = wins.sum(axis=2) + _PRIOR
    strengths = np.ones(won.shape)
    for _ in range(_STEPS):
        met = (games / (strengths[:, :, None] + strengths[:, None, :])).sum(axis=2)
        last, strengths = strengths, won / (met + 2 * _PRIOR / (strengths + 1))
        if np.abs(strengths / last - 1).max() < _TOLERANCE:
            break
    return np.asarray(strengths / (1 + strengths))
