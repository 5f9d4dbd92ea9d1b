"""Means with their uncertainty, by bootstrap over examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 10_000
_CHUNK = 1_000  # resamples drawn at once, so that memory stays small for many examples


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval."""

    mean: float
    ci95: tuple[float, float]

    def to_json(self) -> dict[str, object]:
        """Returns plain values."""
        return {"mean": self.mean, "ci95": list(self.ci95)}


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
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(array.mean()), (float(low), float(high)))
