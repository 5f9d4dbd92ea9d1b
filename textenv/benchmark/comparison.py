"""Which of two agents is better, and whether chance alone could make it look so."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from textenv.benchmark.statistics import RESAMPLES, Estimate, FloatArray, make_estimate
from textenv.errors import ConfigError

_CHUNK = 500  # resamples drawn at once


def probability_of_improvement(
    x: ArrayLike, y: ArrayLike, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Estimates the chance that a run of X scores above a run of Y, on average over tasks.

    On each task it is the Mann-Whitney U of X's runs over the number of pairs of runs; a tie counts
    half (Agarwal et al. 2021, arXiv 2108.13264, as in rliable). In each resample the runs of every
    task are drawn with replacement, apart for X and Y.

    Args:
        x: (n_runs, n_tasks) scores of X, or (n_runs,) on a single task.
        y: The scores of Y, whose number of runs may differ.
        resamples: Number of resamples.
        seed: Seed of the resampling.

    Raises:
        ConfigError: There are no runs, or the tasks differ in number.
    """
    first, second = (_tasks_by_runs(scores) for scores in (x, y))
    if len(first) != len(second):
        raise ConfigError(
            f"X has scores on {len(first)} tasks and Y on {len(second)}: give equals."
        )
    above = first[:, :, None] > second[:, None]
    wins = above + 0.5 * (first[:, :, None] == second[:, None])  # (n_tasks, n_x, n_y)
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        # How often each run was drawn; (size, n_tasks, n_runs).
        own, other = (
            rng.multinomial(n, np.full(n, 1 / n), size=(size, len(first))) / n
            for n in wins.shape[1:]
        )
        found.append((np.einsum("kmi,mij->kmj", own, wins) * other).sum(axis=2).mean(axis=1))
    return make_estimate(float(wins.mean()), np.concatenate(found))


def bootstrap_p(resampled: ArrayLike) -> float:
    """Returns the two-sided p-value of the hypothesis that a statistic is 0.

    It is twice the share of resamples on the rarer side of 0, and is below 0.05 only where the
    95 % percentile interval excludes 0. One more resample than were drawn counts as contrary, so
    that it is never 0 (Davison and Hinkley 1997, chapter 4).

    Args:
        resampled: (n,) the statistic in each resample, such as a difference.
    """
    values = np.asarray(resampled, np.float64)
    rarer = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(values) + 1))


def holm(p_values: ArrayLike) -> FloatArray:
    """Corrects p-values for their number (Holm 1979): step-down, monotone, at most 1.

    Args:
        p_values: (n,) of all the comparisons that were made.

    Returns:
        (n,) in the same order; those below alpha may be rejected, with a chance of at most alpha
        that any of them is true.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values)
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def _tasks_by_runs(scores: ArrayLike) -> FloatArray:
    array = np.asarray(scores, np.float64)
    if array.ndim not in (1, 2) or not array.size:
        raise ConfigError(f"Give scores (n_runs, n_tasks), not an array of {array.shape}.")
    return np.atleast_2d(array.T)
