"""From samples and their resamples to estimates, and to comparisons of rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from textenv.benchmark.agreement.records import RewardComparison
from textenv.benchmark.agreement.resampling import Sample
from textenv.benchmark.comparison import bootstrap_p, holm
from textenv.benchmark.statistics import Estimate, FloatArray, make_estimate


def estimate_or_none(sample: Sample) -> Estimate | None:
    """Returns a statistic with its interval; None where it is not defined."""
    drawn = sample.resampled[~np.isnan(sample.resampled)]
    if np.isnan(sample.value) or not len(drawn):
        return None
    return make_estimate(sample.value, drawn)


def estimate(sample: Sample) -> Estimate:
    """Returns a statistic that is defined, with its interval."""
    found = estimate_or_none(sample)
    assert found is not None
    return found


def compare_rewards(
    names: Sequence[str], drawn: Mapping[str, Sample]
) -> tuple[RewardComparison, ...]:
    """Compares all pairs of rewards; p-values are corrected for their number (Holm 1979)."""
    found = []
    for first, second in combinations(names, 2):
        one, other = drawn[first], drawn[second]
        differences = one.resampled - other.resampled
        differences = differences[~np.isnan(differences)]
        value = one.value - other.value
        if np.isnan(value) or not len(differences):
            continue
        found.append(
            (first, second, make_estimate(value, differences), _p_value(value, differences))
        )
    corrected = holm([p for *_, p in found]).tolist()
    return tuple(
        RewardComparison(*parts, float(adjusted))
        for parts, adjusted in zip(found, corrected, strict=True)
    )


def _p_value(value: float, differences: FloatArray) -> float:
    """Returns the two-sided p-value of no difference.

    The bootstrap's own resolves no more than two in the number of resamples, too little for Holm's
    correction of many comparisons. Where no resample lies beyond 0, the normal tail of the
    bootstrap's standard error goes on from there.
    """
    from scipy.stats import norm

    p = bootstrap_p(differences)
    spread = float(differences.std())
    is_clear = differences.min() > 0 or differences.max() < 0
    return min(p, float(2 * norm.sf(abs(value) / spread))) if is_clear and spread > 0 else p
