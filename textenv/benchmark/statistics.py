"""Means and other statistics with their uncertainty, by bootstrap.

Which bootstrap is right depends on what one would draw anew if the experiment were repeated:

- examples alone, for one fixed policy: `bootstrap_mean`;
- runs, where each run of each task is on its own (a column a task): `stratified_bootstrap`, the
  one of Agarwal et al. 2021 (arXiv 2108.13264) and their package rliable;
- runs and prompts, where every run answers the same prompts: `two_way_bootstrap`. The prompts of
  one run share its seed, which the stratified bootstrap would take for independent luck.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import atan, cos, pi, sin, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from textenv.errors import ConfigError

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], Any]

RESAMPLES = 10_000
_CHUNK = 1_000  # resamples drawn at once, so that memory stays small for many examples
_CHUNK_NUMBERS = 2_000_000  # the same, where a resample holds a whole matrix
_Z = 1.959964  # the 97.5 % quantile of the normal distribution
# That of Student's t with 1 to 8 degrees of freedom, where the series below is not close enough.
_T = (12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004)


@dataclass(frozen=True)
class Estimate:
    """A mean, or another statistic, and its 95 % interval."""

    mean: float
    ci95: tuple[float, float]

    def to_json(self) -> dict[str, object]:
        """Returns plain values."""
        return {"mean": self.mean, "ci95": list(self.ci95)}


def make_estimate(value: float, resampled: ArrayLike) -> Estimate:
    """Puts a statistic and what it was in resamples (n,) together: percentile interval."""
    low, high = np.quantile(np.asarray(resampled, np.float64), [0.025, 0.975])
    return Estimate(float(value), (float(low), float(high)))


def bootstrap_mean(values: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Estimates a mean and its percentile-bootstrap interval (Efron 1979).

    For a paired comparison of two agents on the same examples give the differences.

    Args:
        values: (n,) one number an example.
        seed: Of the resampling.
        resamples: How many samples of size n are drawn with replacement.
    """
    array = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [
            array[rng.integers(len(array), size=(min(_CHUNK, resamples - i), len(array)))].mean(1)
            for i in range(0, resamples, _CHUNK)
        ]
    )
    return make_estimate(float(array.mean()), means)


def iqm(scores: ArrayLike) -> Any:
    """Returns the interquartile mean: that of what a quarter cut off at each end leaves.

    Args:
        scores: (..., n_runs, n_tasks), of which the last two axes are one sample; or (n,). A
            quarter of n is rounded down, as in scipy's `trim_mean` and so in rliable.

    Returns:
        A float, or an array (...).
    """
    flat = _merge_axes(scores)
    n = flat.shape[-1]
    cut = int(0.25 * n)
    ordered = np.partition(flat, (cut, n - cut - 1), axis=-1)
    return ordered[..., cut : n - cut].mean(axis=-1)


def optimality_gap(scores: ArrayLike, gamma: float = 1.0) -> Any:
    """Returns how far the scores, cut off at `gamma`, fall short of it on average.

    Args:
        scores: As in `iqm`.
        gamma: What counts as solved.
    """
    return gamma - np.minimum(_merge_axes(scores), gamma).mean(axis=-1)


def stratified_bootstrap(
    scores: ArrayLike, statistic: Statistic = iqm, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Estimates a statistic of independent runs of several tasks.

    The runs of each task are drawn with replacement by themselves, as in rliable.

    Args:
        scores: (n_runs, n_tasks); a run of one task has nothing to do with the same row's run of
            another.
        statistic: From (k, n_runs, n_tasks) to (k,), such as `iqm` and `optimality_gap`.
        resamples: How many.
        seed: Of the resampling.

    Raises:
        ConfigError: There are no scores, or not two axes.
    """
    array = _matrix(scores, "n_runs, n_tasks")
    rng = np.random.default_rng(seed)
    found = []
    for size in _chunks(resamples, array.size):
        rows = rng.integers(len(array), size=(size, *array.shape))
        found.append(statistic(np.take_along_axis(array[None], rows, axis=1)))
    return make_estimate(float(statistic(array[None])[0]), np.concatenate(found))


def two_way_bootstrap(
    *values: ArrayLike,
    paired_seeds: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> FloatArray:
    """Resamples the means of (seed, prompt) tables, of which both seeds and prompts are samples.

    Rows and columns are drawn with replacement independently of each other (the pigeonhole
    bootstrap, Owen 2007, doi 10.1214/07-AOAS122). All tables share each draw, so differences are
    paired: `make_estimate(a.mean() - b.mean(), drawn[:, 0] - drawn[:, 1])`.

    A plain bootstrap of 5 seeds gives intervals that hold the truth in 85 % of cases. So the
    deviation of each draw from equal weights is stretched, for rows and columns apart, by
    sqrt(n / (n - 1)) and by Student's over the normal quantile (Hesterberg 2015,
    doi 10.1080/00031305.2015.1089789). Noise of single cells counts thrice, which errs to the safe
    side and hardly matters beside the noise of rows and columns. A single seed or prompt tells
    nothing of how others would do: it is kept, and the interval covers the other axis alone.

    Args:
        values: One table or more, (n_seeds, n_prompts) each, all with the same prompts in the same
            order.
        paired_seeds: Row i of each table is the same seed; else the tables' seeds are drawn apart,
            and may differ in number.
        resamples: How many.
        seed: Of the resampling.

    Returns:
        (resamples, number of tables), each table's mean.

    Raises:
        ConfigError: A table is empty, or the tables do not match.
    """
    tables = [_matrix(table, "n_seeds, n_prompts") for table in values]
    if len({table.shape[not paired_seeds :] for table in tables}) != 1:
        shapes = ", ".join(str(table.shape) for table in tables)
        raise ConfigError(f"Tables of {shapes} cannot be resampled together: give equal shapes.")
    rng = np.random.default_rng(seed)
    drawn = np.empty((resamples, len(tables)))
    start = 0
    for size in _chunks(resamples, max(sum(table.shape) for table in tables)):
        columns = _draw_weights(rng, tables[0].shape[1], size)
        rows = _draw_weights(rng, len(tables[0]), size)
        for k, table in enumerate(tables):
            if k and not paired_seeds:
                rows = _draw_weights(rng, len(table), size)
            drawn[start : start + size, k] = ((columns @ table.T) * rows).sum(axis=1)
        start += size
    return drawn


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Returns the rank correlation of two samples (n,), ties at their mean rank.

    None where one of them is constant: then there are no ranks to compare.
    """
    first, second = (_ranks(np.asarray(values, np.float64)) for values in (x, y))
    first, second = first - first.mean(), second - second.mean()
    norm = sqrt(float((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / norm if norm > 0 else None


def student_p(t: float, df: int) -> float:
    """Returns the chance that Student's t lies beyond +-t (Abramowitz, Stegun 26.7.3 and 26.7.4).

    Args:
        t: At least 0.
        df: Degrees of freedom, a whole number from 1 up.
    """
    angle = atan(t / sqrt(df))
    odd = df % 2
    term = cos(angle) if odd else 1.0
    total = 0.0
    for k in range(1 + odd, df, 2):
        total += term
        term *= cos(angle) ** 2 * k / (k + 1)
    inside = 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
    return max(0.0, 1 - inside)


def _ranks(values: FloatArray) -> FloatArray:
    """Returns ranks from 1 up, equal values at the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2)[group]
    return ranks


def _draw_weights(rng: np.random.Generator, n: int, size: int) -> FloatArray:
    """Returns the weights (size, n) of resampled items, stretched about 1 / n."""
    if n == 1:
        return np.ones((size, 1))
    counts = rng.multinomial(n, np.full(n, 1 / n), size=size)
    stretch = sqrt(n / (n - 1)) * _student(n - 1) / _Z
    weights: FloatArray = 1 / n + stretch * (counts - 1) / n
    return weights


def _student(df: int) -> float:
    """Returns the 97.5 % quantile of Student's t (the series of Abramowitz, Stegun 26.7.5)."""
    if df <= len(_T):
        return _T[df - 1]
    z = _Z
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(sum(term / df**power for power, term in enumerate(terms)))


def _merge_axes(scores: ArrayLike) -> FloatArray:
    array = np.asarray(scores, np.float64)
    return array if array.ndim < 2 else array.reshape(*array.shape[:-2], -1)


def _matrix(values: ArrayLike, axes: str) -> FloatArray:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or not array.size:
        raise ConfigError(f"Give a table of scores ({axes}), not an array of {array.shape}.")
    return array


def _chunks(resamples: int, numbers: int) -> list[int]:
    """Splits resamples of so many numbers each into portions that fit in little memory."""
    size = max(1, min(_CHUNK, _CHUNK_NUMBERS // numbers))
    return [min(size, resamples - start) for start in range(0, resamples, size)]
