"""Agreement as a share of pairs: of two answers to one prompt, and of two systems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PERMUTATIONS = 1_000


@dataclass(frozen=True)
class Pairs:
    """Pairs of texts that answer the same item."""

    first: IntArray  # (p,) place of the first text
    second: IntArray  # (p,) place of the second one
    item: IntArray  # (p,) their item


def make_pairs(groups: Sequence[IntArray]) -> Pairs:
    """Returns all pairs within groups of places."""
    found = [np.triu_indices(len(group), 1) for group in groups]
    sizes = [len(first) for first, _ in found]
    empty = [np.empty(0, np.int64)]
    pairs = list(zip(groups, found, strict=True))
    return Pairs(
        np.concatenate(empty + [group[i] for group, (i, _) in pairs]),
        np.concatenate(empty + [group[j] for group, (_, j) in pairs]),
        np.repeat(np.arange(len(groups)), sizes),
    )


def calibrate_ties(
    scores: FloatArray, human: FloatArray, weights: FloatArray
) -> tuple[float, FloatArray]:
    """Finds up to which difference two scores should count as a tie, to agree with people best.

    A pair is right where people and the reward call the same text better, or both call it a tie:
    acc*_eq of Deutsch et al. 2023 (arXiv 2305.14324). Ratings have few levels and so many ties;
    without a threshold a reward that never ties could not be right on them, and one that is
    constant could look good.

    Args:
        scores: (p,) the reward's difference in each pair.
        human: (p,) the ratings' difference.
        weights: (p,) of the pairs, which sum to 1.

    Returns:
        The smallest threshold with the highest weighted accuracy, and for each pair whether it is
        right under it, (p,), 0 or 1.
    """
    distance = np.abs(scores)
    order = np.argsort(distance, kind="stable")
    tied_right = np.cumsum((weights * (human == 0))[order])
    signed_right = (weights * ((np.sign(scores) == np.sign(human)) & (scores != 0)))[order]
    kept_right = signed_right.sum() - np.cumsum(signed_right)
    levels = distance[order]
    ends = np.flatnonzero(np.append(levels[1:] != levels[:-1], True))
    accuracies = (tied_right + kept_right)[ends]
    # Threshold 0 ties equal scores alone; where there are none, it ties nothing.
    thresholds = levels[ends]
    if levels[0] > 0:
        thresholds = np.append(0.0, thresholds)
        accuracies = np.append(signed_right.sum(), accuracies)
    threshold = float(thresholds[int(np.argmax(accuracies))])
    said = np.where(distance <= threshold, 0.0, np.sign(scores))
    return threshold, np.asarray((said == np.sign(human)).astype(np.float64))


def system_p_values(
    cells: FloatArray, seed: int = 0, permutations: int = PERMUTATIONS
) -> FloatArray:
    """Returns for each pair of systems how easily chance makes the first one this much better.

    A paired permutation test: in each permutation the two systems' scores of an item are swapped
    or not; all pairs share the permutations. Items that one of two systems lacks count for neither.

    Args:
        cells: (systems, items) scores, NaN where there is none.
        seed: Seed of the permutations.
        permutations: Their number.

    Returns:
        (pairs,) the share of permutations whose difference is at least the observed one; pairs in
        the order of `numpy.triu_indices`.
    """
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], size=(permutations, cells.shape[1]))
    first, second = np.triu_indices(len(cells), 1)
    p_values = np.empty(len(first))
    for k, (i, j) in enumerate(zip(first, second, strict=True)):
        difference = np.nan_to_num(cells[i] - cells[j])
        # Sums of the same numbers in another order may miss each other by a last digit.
        margin = 1e-9 * np.abs(difference).sum()
        p_values[k] = (signs @ difference >= difference.sum() - margin).mean()
    return p_values


def soft_accuracy(first: FloatArray, second: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns soft pairwise accuracy, 1 less the mean distance of p-values.

    Thompson et al. 2024 (arXiv 2409.09598): a reward that is unsure of two systems where people
    are unsure, too, is right; plain pairwise accuracy tosses a coin there.

    Args:
        first: (pairs,) p-values by people's scores.
        second: (pairs,) p-values by the reward's.
        weights: (..., pairs).
    """
    with np.errstate(invalid="ignore"):
        return np.asarray((weights * (1 - np.abs(first - second))).sum(-1) / weights.sum(-1))
