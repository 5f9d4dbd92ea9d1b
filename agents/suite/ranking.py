"""Ranks that the data support: a range for each agent, from paired comparisons of all pairs.

Two agents are compared on the same examples. Their scores differ by the mean over tasks of mean
differences d, with the standard error of a stratified sample:

    D = 1/K sum_k mean(d_k),   SE^2 = 1/K^2 sum_k var(d_k) / n_k

and D / SE is referred to Student's t with the degrees of freedom of Satterthwaite (1946). A test
that flips the signs of m differences other than 0 cannot have a p-value below 2^(1 - m), so neither
has this one: few examples that all agree are few examples.

The p-values of all pairs are corrected by Holm (1979). With a chance of at least 95 % no agent is
then called better than one that is as good, so all ranges hold at once:

    from 1 + the number of agents that are better, to n - the number of agents that are worse

(Mogstad, Romano, Shaikh and Wilhelm 2024, Review of Economic Studies 91(1), doi
10.1093/restud/rdad006; Al Mohamad, Goeman and van Zwet 2022, Biometrics 78(1), doi
10.1111/biom.13419).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from textenv.benchmark.comparison import holm
from textenv.benchmark.statistics import FloatArray

LEVEL = 0.05


@dataclass(frozen=True)
class Place:
    """The ranks that an agent may have."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}–{self.last}"


@dataclass(frozen=True)
class Ranking:
    """Places, and the comparisons that they rest on.

    Attributes:
        places: Place of each agent.
        differences: Score of the row's agent minus that of the column's, (n, n).
        p_values: Corrected p-values of these differences, (n, n); 1 on the diagonal.
    """

    places: tuple[Place, ...]
    differences: FloatArray
    p_values: FloatArray

    def is_better(self, one: int, other: int) -> bool:
        """Tells whether one agent is shown to be better than another."""
        return bool(self.differences[one, other] > 0 and self.p_values[one, other] < LEVEL)


def rank(scores: Sequence[FloatArray]) -> Ranking:
    """Ranks agents by their normalised rewards.

    Args:
        scores: (n_tasks, n_examples) of each agent, on the same examples.
    """
    n = len(scores)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    tested = [compare(scores[i], scores[j]) for i, j in pairs]
    corrected = holm([p for _, p in tested]) if pairs else np.zeros(0)
    differences, p_values = np.zeros((n, n)), np.ones((n, n))
    for (i, j), (difference, _), p in zip(pairs, tested, corrected, strict=True):
        differences[i, j], differences[j, i] = difference, -difference
        p_values[i, j] = p_values[j, i] = p
    better = (differences > 0) & (p_values < LEVEL)
    places = tuple(Place(1 + int(better[:, i].sum()), n - int(better[i].sum())) for i in range(n))
    return Ranking(places, differences, p_values)


def compare(one: FloatArray, other: FloatArray) -> tuple[float, float]:
    """Returns the difference of two scores (n_tasks, n_examples), and its two-sided p-value."""
    from scipy.stats import t

    paired = one - other
    paired[np.abs(paired) < 1e-12] = 0.0
    difference, n = float(paired.mean()), paired.shape[1]
    if abs(difference) < 1e-12:  # of equal scores nothing is shown, however often they differ
        return 0.0, 1.0
    floor = 2.0 ** (1 - np.count_nonzero(paired))
    if n < 2:
        return difference, 1.0
    variances = paired.var(axis=1, ddof=1) / n / len(paired) ** 2  # of each task's part of D
    total = float(variances.sum())
    if total < 1e-24:  # equal differences, of which the floor alone tells how many there are
        return difference, floor
    df = total**2 / float((variances**2 / (n - 1)).sum())
    p = 2 * float(t.sf(abs(difference) / sqrt(total), df))
    return difference, min(1.0, max(p, floor))
