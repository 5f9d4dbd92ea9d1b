"""Kendall's tau-b and Spearman's rho, of a sample and of its weighted resamples.

A resample that draws observation i w_i times is the sample itself with weights w_i. So all
resamples are computed together, without drawing any of them: pairs of an observation with its own
copy are tied on both sides, and count for nothing in tau-b.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
FloatArray32 = NDArray[np.float32]

_BLOCK = 512  # observations whose pairs with all others are in memory at once


def kendall(x: FloatArray, y: FloatArray) -> float:
    """Returns Kendall's tau-b of two samples (n,); NaN where one of them is constant."""
    from scipy.stats import kendalltau

    if len(x) < 2:
        return float("nan")
    return float(kendalltau(x, y).statistic)


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Returns Spearman's rho of two samples (n,); NaN where one of them is constant."""
    from scipy.stats import spearmanr

    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(spearmanr(x, y).statistic)


def kendall_of_resamples(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns tau-b of resamples (r,); NaN where one is constant.

    Args:
        x: (n,) or, where the values themselves differ between resamples, (r, n).
        y: Like `x`.
        weights: (r, n) how often each observation was drawn.
    """
    small = weights.astype(np.float32)
    sums = np.zeros((3, len(weights)))
    for block in _blocks(x):
        dx, dy = (np.sign(v[..., :, None] - v[..., None, block]) for v in (x, y))
        for total, pairs in zip(sums, (dx * dy, dx != 0, dy != 0), strict=True):
            total += (_over_first(small, pairs) * small[:, block]).sum(axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums[0] / np.sqrt(sums[1] * sums[2]))


def spearman_of_resamples(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns rho of resamples (r,); arguments are those of `kendall_of_resamples`."""
    first, second = _midranks(x, weights), _midranks(y, weights)
    size = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        first -= (first * weights).sum(axis=1, keepdims=True) / size
        second -= (second * weights).sum(axis=1, keepdims=True) / size
        over = (first * second * weights).sum(axis=1)
        under = (first**2 * weights).sum(axis=1) * (second**2 * weights).sum(axis=1)
        # What rounding leaves of a constant sample is none.
        return np.asarray(np.where(under < 1e-3, np.nan, over / np.sqrt(under)))


def _midranks(x: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the mean rank of each observation (r, n) among those that were drawn, less 1/2."""
    small = weights.astype(np.float32)
    ranks = np.empty(weights.shape)
    for block in _blocks(x):
        others, own = x[..., :, None], x[..., None, block]
        ranks[:, block] = _over_first(small, (others < own) + 0.5 * (others == own))
    return ranks


def _blocks(x: FloatArray) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, x.shape[-1], _BLOCK))


def _over_first(weights: FloatArray32, pairs: NDArray[Any]) -> FloatArray32:
    """Sums pairs (n, m), or (r, n, m), over their first text with weights (r, n): (r, m)."""
    numbers = pairs.astype(np.float32)
    if pairs.ndim == 2:
        return np.asarray(weights @ numbers)
    return np.asarray((weights[:, None, :] @ numbers)[:, 0])


def without(xy: FloatArray, xz: FloatArray, yz: FloatArray) -> FloatArray:
    """Returns the partial correlation of x and y given z, from the three correlations.

    (xy - xz yz) / sqrt((1 - xz^2) (1 - yz^2)): Kendall 1942 for tau, and the usual one of ranks for
    rho; NaN where z orders the texts as x or y does.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.maximum(1 - xz**2, 0) * np.maximum(1 - yz**2, 0)
        return np.asarray(np.where(left < 1e-12, np.nan, (xy - xz * yz) / np.sqrt(left)))


def mean_of_defined(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns weighted means (r,) over the last axis of (r, n) or (n,), leaving out NaN."""
    is_defined = ~np.isnan(values)
    filled = np.where(is_defined, values, 0.0)
    with np.errstate(invalid="ignore"):
        return np.asarray((filled * weights).sum(axis=-1) / (is_defined * weights).sum(axis=-1))
