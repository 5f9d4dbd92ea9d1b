"""Means and other statistics with their uncertainty: by bootstrap, exactly for shares.

Which estimate is right depends on what a repetition of the experiment would draw anew:

- examples alone, for one fixed policy: `estimate_mean`, and `estimate_gain` for two agents on the
  same examples;
- examples, and several samples of each: `estimate_mean` of each example's mean. Examples are drawn
  with all of their samples (the cluster bootstrap: Davison and Hinkley 1997, section 3.8; Miller
  2024, arXiv 2411.00640), so the noise of the samples is in, as part of how examples differ;
- runs, where each run of each task is independent: `stratified_bootstrap`, as in Agarwal et al.
  2021 (arXiv 2108.13264) and their package rliable;
- runs and prompts, where every run answers the same prompts: `textenv.benchmark.effects`. The
  prompts of one run share its seed, which a stratified bootstrap would count as independent.

Distributions and rank correlations come from scipy, which is imported where it is used: it takes
half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from textenv.benchmark.proportions import clopper_pearson, tango
from textenv.errors import ConfigError

FloatArray = NDArray[np.float64]
Statistic = Callable[[FloatArray], Any]

RESAMPLES = 10_000
_CHUNK = 1_000  # resamples drawn at once, so that memory stays small for many examples
_CHUNK_NUMBERS = 2_000_000  # the same, where a resample holds a whole matrix


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


def estimate_mean(
    values: ArrayLike,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Estimates the mean of scores, with an interval that the sample at hand allows.

    - Scores at the two `bounds` alone, such as 0 and 1, have the exact interval of the share of the
      upper one (Clopper and Pearson 1934). It also holds where graded scores happen to lie there in
      a sample: it is the interval of scores that were rounded at random, each to a bound with a
      chance that keeps its mean, and rounding a bound changes nothing.
    - n equal scores have no spread to resample. Up to 1 - 0.025^(1/n) of all examples may still
      differ from them, by as much as the bounds allow; for scores of 0 or 1 this is the exact
      interval again.
    - All others have a percentile-bootstrap interval (Efron 1979).

    Args:
        values: (n,) one number an example.
        bounds: Least and greatest score that there is; a sample beyond them widens them.
        seed: Seed of the resampling.
        resamples: Number of resamples of size n, drawn with replacement.

    Raises:
        ConfigError: There are no scores.
    """
    array = np.asarray(values, np.float64)
    if not array.size:
        raise ConfigError("There are no scores to average.")
    # Sums of weights may miss the same value by a last digit.
    levels = np.unique(array.round(9)).tolist()
    n, mean = len(array), float(array.mean())
    bottom, top = min(bounds[0], levels[0]), max(bounds[1], levels[-1])
    if levels == [bottom, top]:
        low, high = clopper_pearson(int((array > (bottom + top) / 2).sum()), n)
        return Estimate(mean, (bottom + (top - bottom) * low, bottom + (top - bottom) * high))
    if len(levels) == 1:
        others = 1 - clopper_pearson(n, n)[0]
        return Estimate(mean, (mean - others * (mean - bottom), mean + others * (top - mean)))
    return bootstrap_mean(array, seed, resamples)


def estimate_gain(
    after: ArrayLike, before: ArrayLike, *, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """Estimates the mean difference of two agents' scores on the same examples.

    Scores of 0 and 1 have Tango's interval for paired shares; other differences are estimated by
    `estimate_mean`, within -1 to 1.

    Args:
        after: (n,) scores of the agent that should be better.
        before: (n,) scores of the other one.
        seed: Seed of the resampling.
        resamples: Number of resamples.

    Raises:
        ConfigError: There are no scores, or not equally many.
    """
    later, earlier = np.asarray(after, np.float64), np.asarray(before, np.float64)
    if later.shape != earlier.shape:
        raise ConfigError(
            f"Give two scores of each example, not {later.shape} beside {earlier.shape}."
        )
    if later.size and np.isin([later, earlier], (0.0, 1.0)).all():
        gained, lost = int((later > earlier).sum()), int((later < earlier).sum())
        n = len(later)
        return Estimate((gained - lost) / n, tango(gained, lost, n))
    difference = later - earlier
    return estimate_mean(difference, bounds=(-1.0, 1.0), seed=seed, resamples=resamples)


def bootstrap_mean(values: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Estimates a mean and its percentile-bootstrap interval (Efron 1979); see `estimate_mean`.

    The interval of equal values has no width, and that of few values is too narrow.

    Args:
        values: (n,) one number an example.
        seed: Seed of the resampling.
        resamples: Number of resamples of size n, drawn with replacement.
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
    """Returns the interquartile mean: the mean without the lowest and the highest quarter.

    Args:
        scores: (..., n_runs, n_tasks), of which the last two axes are one sample; or (n,). A
            quarter of n is rounded down, as in rliable.

    Returns:
        A float, or an array (...).
    """
    from scipy.stats import trim_mean

    array = np.asarray(scores, np.float64)
    flat = array if array.ndim < 2 else array.reshape(*array.shape[:-2], -1)
    return trim_mean(flat, 0.25, axis=-1)


def stratified_bootstrap(
    scores: ArrayLike, statistic: Statistic = iqm, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Estimates a statistic of independent runs of several tasks.

    The runs of each task are drawn with replacement by themselves, as in rliable.

    Args:
        scores: (n_runs, n_tasks); a run of one task has nothing to do with the same row's run of
            another.
        statistic: Function from (k, n_runs, n_tasks) to (k,).
        resamples: Number of resamples.
        seed: Seed of the resampling.

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


def spearman(x: ArrayLike, y: ArrayLike) -> float | None:
    """Returns the rank correlation of two samples (n,); None where one of them is constant."""
    from scipy.stats import spearmanr

    if min(len(np.unique(x)), len(np.unique(y))) < 2:
        return None
    return float(spearmanr(x, y).statistic)


def _matrix(values: ArrayLike, axes: str) -> FloatArray:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or not array.size:
        raise ConfigError(f"Give a table of scores ({axes}), not an array of {array.shape}.")
    return array


def _chunks(resamples: int, numbers: int) -> list[int]:
    """Splits resamples of so many numbers each into portions that fit in little memory."""
    size = max(1, min(_CHUNK, _CHUNK_NUMBERS // numbers))
    return [min(size, resamples - start) for start in range(0, resamples, size)]
