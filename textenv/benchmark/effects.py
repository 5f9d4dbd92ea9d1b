"""What training did, beside what it does when it is paid at random: with intervals for few seeds.

Run s of a design scores y = mean + run s + prompt p + rest on prompt p; runs and prompts are both
samples. The variance of the mean over S runs and P prompts is estimated from mean squares, as in a
two-way layout:

    MS(runs) / SP + MS(prompts) / SP - MS(rest) / SP

Three runs say little about how much runs vary, so designs lend each other strength: each one's
variance over runs is drawn towards that of all of them, the more the more alike they are (the
moderated variance of Smyth 2004, doi 10.2202/1544-6115.1027, as in limma). A design whose runs are
shown to vary more than the others' has at least its own variance. Intervals are Student's t;
degrees of freedom are combined as by Satterthwaite (1946).

"Shown" means: by a one-sided test at 5 %. Nothing is shown of a design that was run once, or on one
prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log, sqrt

import numpy as np

from textenv.benchmark.statistics import Estimate, FloatArray

LEVEL = 0.05  # of the one-sided tests
_TINY = 1e-12


@dataclass(frozen=True)
class Effect:
    """An estimated mean, or a difference of two."""

    mean: float
    se: float  # its standard error
    df: float  # the degrees of freedom of Student's t
    sees_seeds: bool  # whether the variance over runs is in it; else over prompts alone

    def exceeds(self, bound: float) -> bool:
        """Tells whether it is shown to be above a bound."""
        return self.sees_seeds and self.mean - self._reach(LEVEL) > bound

    def stays_below(self, bound: float) -> bool:
        """Tells whether it is shown to be below a bound."""
        return self.sees_seeds and self.mean + self._reach(LEVEL) < bound

    def is_within(self, margin: float) -> bool:
        """Tells whether it is shown to be about 0: two one-sided tests (Schuirmann 1987)."""
        return self.exceeds(-margin) and self.stays_below(margin)

    def estimate(self, n_looked_at: int = 1) -> Estimate:
        """Returns the mean and its 95 % interval, Bonferroni's if so many were looked at."""
        reach = self._reach(0.025 / n_looked_at)
        return Estimate(self.mean, (self.mean - reach, self.mean + reach))

    def p(self) -> float:
        """Returns the two-sided p-value of the hypothesis that it is 0; 1 if no seeds are seen."""
        from scipy.stats import t

        if not self.sees_seeds or self.mean == 0:
            return 1.0
        return float(2 * t.sf(abs(self.mean) / max(self.se, _TINY), self.df))

    def _reach(self, tail: float) -> float:
        from scipy.stats import t

        return float(t.isf(tail, self.df)) * self.se


@dataclass(frozen=True)
class Layout:
    """One design's scores (n_runs, n_prompts), taken apart."""

    mean: float
    n_runs: int
    by_prompt: FloatArray  # (n_prompts,) means over runs
    run_variance: float  # of the means over prompts; 0 for a single run
    rest: float  # the mean square of what neither run nor prompt explains


class Effects:
    """The effects of several designs on one quantity.

    Args:
        tables: Design -> (n_runs, n_prompts) gains since the start, on the same prompts; numbers of
            runs may differ.
        control: The design that was paid at random, if one was: `gain` is measured from it.
    """

    def __init__(self, tables: Mapping[str, FloatArray], control: str | None = None) -> None:
        self._layouts = {name: take_apart(np.asarray(t, float)) for name, t in tables.items()}
        self._control = control if control in self._layouts else None
        layouts = self._layouts.values()
        variances, df = [one.run_variance for one in layouts], [one.n_runs - 1 for one in layouts]
        found = zip(moderate(variances, df), _own_ones(variances, df), strict=True)
        # (variance over runs, its degrees of freedom) of each design
        self._variances = {
            name: (max(moderated, own), df)
            for name, ((moderated, df), own) in zip(self._layouts, found, strict=True)
        }

    def gain(self, name: str) -> Effect:
        """Returns a design's effect beyond the control's; its gain since the start without one."""
        return self.since_start(name) if self._control is None else self.minus(name, self._control)

    def since_start(self, name: str) -> Effect:
        """Returns the mean gain of a design's runs since the start."""
        layout = self._layouts[name]
        return self._effect(layout.mean, layout.by_prompt, [name])

    def minus(self, first: str, second: str) -> Effect:
        """Returns the first design's effect minus the second's."""
        one, other = self._layouts[first], self._layouts[second]
        return self._effect(one.mean - other.mean, one.by_prompt - other.by_prompt, [first, second])

    def _effect(self, mean: float, by_prompt: FloatArray, names: list[str]) -> Effect:
        n_prompts = len(by_prompt)
        over_prompts = float(by_prompt.var(ddof=1)) / n_prompts if n_prompts > 1 else 0.0
        df_prompts = max(1, n_prompts - 1)
        found = [(self._variances[name], self._layouts[name]) for name in names]
        df_runs = min(df for (_, df), _ in found)
        if df_runs == 0:
            return Effect(mean, sqrt(over_prompts), df_prompts, sees_seeds=False)
        # What others' runs vary by says little of a design that was run once.
        sees_seeds = n_prompts > 1 and min(one.n_runs for _, one in found) > 1
        over_runs = sum(variance / one.n_runs for (variance, _), one in found)
        # Both hold the rest, which counts once.
        rest = sum(one.rest / (one.n_runs * n_prompts) for _, one in found)
        variance = max(over_runs + over_prompts - rest, over_runs, over_prompts)
        parts = over_runs**2 / df_runs + over_prompts**2 / df_prompts
        df = variance**2 / parts if parts > 0 else df_runs
        return Effect(mean, sqrt(variance), df, sees_seeds)


def moderate(variances: list[float], df: list[int]) -> list[tuple[float, float]]:
    """Draws variances towards each other, as alike as they are (Smyth 2004, section 6.2).

    Args:
        variances: (n,) sample variances.
        df: (n,) their degrees of freedom; 0 for one that could not be measured.

    Returns:
        For each the moderated variance and its degrees of freedom, at most those of all together;
        0 where nothing is known.
    """
    measured = [(v, d) for v, d in zip(variances, df, strict=True) if d > 0]
    if not measured:
        return [(0.0, 0.0) for _ in variances]
    total = sum(d for _, d in measured)
    pooled = sum(v * d for v, d in measured) / total
    prior_df, prior = _fit_prior(measured, pooled)
    found = []
    for variance, own in zip(variances, df, strict=True):
        if prior_df == inf:
            found.append((prior, float(total)))
        else:
            moderated = (prior_df * prior + own * variance) / (prior_df + own)
            found.append((moderated, min(prior_df + own, total)))
    return found


def _own_ones(variances: list[float], df: list[int]) -> list[float]:
    """Returns the variances that are shown to be above the others', by an F test; 0 for others."""
    from scipy.stats import f

    found = []
    for i, (own, own_df) in enumerate(zip(variances, df, strict=True)):
        others = [(v, d) for k, (v, d) in enumerate(zip(variances, df, strict=True)) if k != i]
        others_df = sum(d for _, d in others)
        is_shown = own_df > 0 and others_df > 0
        if is_shown:
            pooled = sum(v * d for v, d in others) / others_df
            is_shown = own > pooled * f.isf(LEVEL, own_df, others_df)
        found.append(own if is_shown else 0.0)
    return found


def _fit_prior(measured: list[tuple[float, int]], pooled: float) -> tuple[float, float]:
    """Returns the degrees of freedom and the location of the variances' prior distribution."""
    from scipy.special import digamma, polygamma

    if len(measured) < 2 or pooled <= 0:
        return inf, pooled
    # Runs that are equal by chance, as scores of few values may be, have no logarithm.
    logs = np.array([log(max(v, 1e-5 * pooled)) for v, _ in measured])
    half = np.array([d / 2 for _, d in measured])
    centred = logs - digamma(half) + np.log(half)
    spread = float(centred.var(ddof=1) - polygamma(1, half).mean())
    if spread <= 0:  # no more than samples of one and the same variance differ
        return inf, pooled
    prior_df = 2 * _inverse_trigamma(spread)
    location = centred.mean() + digamma(prior_df / 2) - log(prior_df / 2)
    return prior_df, float(np.exp(location))


def _inverse_trigamma(value: float) -> float:
    """Solves trigamma(x) = value for x > 0."""
    from scipy.optimize import brentq
    from scipy.special import polygamma

    low = high = 1.0
    while polygamma(1, low) < value:
        low /= 2
    while polygamma(1, high) > value:
        high *= 2
    if low == high:
        return low
    return float(brentq(lambda x: polygamma(1, x) - value, low, high))


def take_apart(table: FloatArray) -> Layout:
    """Takes gains (n_runs, n_prompts) apart by runs and prompts."""
    n_runs, n_prompts = table.shape
    by_run, by_prompt = table.mean(axis=1), table.mean(axis=0)
    mean = float(table.mean())
    if n_runs == 1:
        return Layout(mean, 1, by_prompt, 0.0, 0.0)
    left = table - by_run[:, None] - by_prompt + mean
    rest = float((left**2).sum()) / ((n_runs - 1) * max(1, n_prompts - 1))
    return Layout(mean, n_runs, by_prompt, float(by_run.var(ddof=1)), rest)
