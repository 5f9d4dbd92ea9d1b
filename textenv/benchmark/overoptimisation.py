"""How a metric moves with the distance from the start: fitted, and compared at equal distance.

The distance is d = sqrt(KL(policy, start)), as in Gao et al. 2022 (arXiv 2210.10760). It compares
designs that were trained by one and the same optimiser, not different optimisers.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp

import numpy as np
from numpy.typing import ArrayLike

from textenv.benchmark.results import Fit
from textenv.benchmark.statistics import FloatArray

_LEAST_DISTANCES = 5  # of a fit with two parameters


def fit_gao(d: ArrayLike, reward: ArrayLike) -> Fit | None:
    """Fits R = d (a - b log d) by least squares, in which it is linear.

    The curve rises first where b > 0, and turns at d = exp(a / b - 1), where its slope
    a - b - b log d is 0.

    Args:
        d: (n,) distances; those that are 0, the start, are left out.
        reward: (n,) gains since the start.

    Returns:
        The fit; None where there are fewer than 5 different distances: two parameters pass near any
        three points, and what they explain says nothing. The peak is named only if it lies within
        the distances that were seen.
    """
    distance, gain = (np.asarray(values, np.float64) for values in (d, reward))
    distance, gain = distance[distance > 0], gain[distance > 0]
    if len(np.unique(distance)) < _LEAST_DISTANCES:
        return None
    design = np.stack([distance, -distance * np.log(distance)], axis=1)
    a, b = np.linalg.lstsq(design, gain)[0].tolist()
    missed = float(((gain - design @ (a, b)) ** 2).sum())
    spread = float(((gain - gain.mean()) ** 2).sum())
    peak = None
    # Their logarithms are compared, since exp of a / b may be too large for a float.
    if b > 0 and np.log(distance.min()) <= a / b - 1 <= np.log(distance.max()):
        peak = exp(2 * (a / b - 1))
    return Fit(a, b, peak, 1 - missed / spread if spread > 0 else 0.0)


def matched_kl(curves: Iterable[ArrayLike]) -> float | None:
    """Returns the largest KL that every curve (n_looks,) reached; None if one stayed at 0."""
    reached = [max((float(kl) for kl in np.ravel(curve)), default=0.0) for curve in curves]
    common = min(reached, default=0.0)
    return common if common > 0 else None


def at_matched_kl(kl: ArrayLike, values: ArrayLike, target_kl: float) -> FloatArray:
    """Reads each seed's curve where it first reaches a KL: linear in sqrt(KL) between two looks.

    A run may come back towards the start; what counts is the way there.

    Args:
        kl: (n_seeds, n_looks), or (n_looks,) for all seeds, in order of training; the first is the
            start, at 0.
        values: (n_seeds, n_looks), or (n_seeds, n_looks, ...) for several at once, such as one a
            prompt.
        target_kl: The KL at which to read the curves.

    Returns:
        (n_seeds, ...), nan for a seed that never came so far.
    """
    table = np.asarray(values, np.float64)
    distance = np.sqrt(np.maximum(np.broadcast_to(np.asarray(kl, np.float64), table.shape[:2]), 0))
    target = float(np.sqrt(target_kl))
    found = np.full((len(table), *table.shape[2:]), np.nan)
    for seed, (own, looks) in enumerate(zip(distance, table, strict=True)):
        reached = np.flatnonzero(own >= target)
        if not len(reached):
            continue
        after = int(reached[0])
        if after == 0:
            found[seed] = looks[0]
            continue
        share = (target - own[after - 1]) / (own[after] - own[after - 1])
        found[seed] = (1 - share) * looks[after - 1] + share * looks[after]
    return found
