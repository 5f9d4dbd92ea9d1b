"""Which gain a benchmark of so many seeds and prompts can find: asked before the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from textenv.benchmark.effects import LEVEL, take_apart
from textenv.benchmark.statistics import FloatArray

POWER = 0.8  # the chance to find the gain


@dataclass(frozen=True)
class Noise:
    """What makes gains differ, as standard deviations in sd of the metric.

    Prompts and rest are by default as measured in `examples/reward_bench.yaml`. Its three seeds
    differed by no more than their samples did; 0.2 for runs is on the safe side.
    """

    runs: float = 0.2  # of what a run's seed does to all prompts
    prompts: float = 0.21  # of what a design does to one prompt more than to others
    rest: float = 0.81  # of one sample


def measure_noise(tables: Mapping[str, FloatArray]) -> Noise | None:
    """Measures the noise of gains (n_runs, n_prompts) of several designs, pooled.

    Mean squares of a two-way layout, as in `textenv.benchmark.effects`; a share that comes out
    below 0 is 0. Designs with one run do not count; without any other there is nothing to measure.
    """
    layouts = [take_apart(t) for t in tables.values() if len(t) > 1 and t.shape[1] > 1]
    if not layouts:
        return None
    weights = [one.n_runs - 1 for one in layouts]

    def deviation(variances: list[float]) -> float:
        return sqrt(max(0.0, float(np.average(variances, weights=weights))))

    return Noise(
        runs=deviation([one.run_variance - one.rest / len(one.by_prompt) for one in layouts]),
        prompts=deviation([one.by_prompt.var(ddof=1) - one.rest / one.n_runs for one in layouts]),
        rest=deviation([one.rest for one in layouts]),
    )


def smallest_gain(
    noise: Noise, n_seeds: int, n_prompts: int, n_designs: int, *, control: bool = True
) -> float | None:
    """Returns the gold gain that is shown to be above 0 with a chance of 80 %, in sd.

    The usual formula, two quantiles of Student's t times the standard error, where all designs'
    runs vary alike. None for a single seed, which shows nothing.

    Args:
        noise: What makes gains differ.
        n_seeds: Runs of each design.
        n_prompts: Held-out prompts of an evaluation.
        n_designs: Designs, controls apart.
        control: Whether gains are measured from runs that were paid at random.
    """
    from scipy.stats import t

    if n_seeds < 2:
        return None
    over_runs = (noise.runs**2 + noise.rest**2 / n_prompts) / n_seeds
    variance = (1 + control) * (over_runs + noise.prompts**2 / n_prompts)
    df = (n_designs + control) * (n_seeds - 1)
    return float((t.isf(LEVEL, df) + t.isf(1 - POWER, df)) * sqrt(variance))
