"""Exact and score intervals for shares, which a bootstrap of few or equal scores gets wrong."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

_TAIL = 0.025  # of a 95 % interval, on each side


def clopper_pearson(successes: int, n: int) -> tuple[float, float]:
    """Returns the exact 95 % interval of a share (Clopper and Pearson 1934, doi 10.2307/2331986).

    It holds the truth in at least 95 % of cases, whatever n and the share: 20 of 20 give
    [0.832, 1].

    Args:
        successes: Number of successes.
        n: Number of trials, above 0.
    """
    from scipy.stats import beta

    low = beta.ppf(_TAIL, successes, n - successes + 1) if successes else 0.0
    high = beta.ppf(1 - _TAIL, successes + 1, n - successes) if successes < n else 1.0
    return float(low), float(high)


def tango(gained: int, lost: int, n: int) -> tuple[float, float]:
    """Returns the 95 % score interval of the difference of two paired shares.

    It inverts the score test of each difference d, under which the share of pairs that were lost is
    estimated by maximum likelihood (Tango 1998, Statistics in Medicine 17, 891-908). Unlike a
    bootstrap it has a width where all pairs agree: 20 gained of 20 give [0.678, 1], and 20 pairs
    that are all equal [-0.161, 0.161].

    Args:
        gained: Number of pairs whose first member failed and whose second succeeded.
        lost: Number of pairs the other way round.
        n: Number of pairs, above 0.
    """
    from scipy.stats import norm

    z2 = float(norm.ppf(1 - _TAIL)) ** 2

    def excess(d: float) -> float:
        """Returns the squared deviation from d less what the test allows; negative inside."""
        b = -gained - lost + (2 * n - gained + lost) * d
        c = -lost * d * (1 - d)
        p_lost = (sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        return (gained - lost - n * d) ** 2 - z2 * n * (2 * p_lost + d * (1 - d))

    found = (gained - lost) / n
    return _find_end(excess, found, -1.0), _find_end(excess, found, 1.0)


def _find_end(excess: Callable[[float], float], inside: float, outside: float) -> float:
    """Returns where an interval ends between a point inside and one that may lie outside."""
    if excess(outside) <= 0:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        # A sample at its limit, such as n of n, has no allowance at the limit itself.
        if excess(middle) < 0 or middle == inside:
            inside = middle
        else:
            outside = middle
    return outside
