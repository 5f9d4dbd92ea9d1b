"""From the scores of finished runs to the train x eval matrix, curves and comparisons.

Every run of every design is looked at on the same held-out prompts, some times along its training;
the first look is the untrained policy, of which each seed has some samples a prompt. A gain is a
score minus their mean for the same prompt and seed, in standard deviations of the metric over all
of the untrained policy's samples. Intervals draw seeds and prompts anew (`two_way_bootstrap`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from textenv.benchmark.comparison import (
    bootstrap_p,
    holm,
    probability_of_improvement,
    runs_p,
)
from textenv.benchmark.overoptimisation import at_matched_kl, fit_gao
from textenv.benchmark.results import Cell, Comparison, Curve, Metric, Point
from textenv.benchmark.statistics import (
    Estimate,
    FloatArray,
    iqm,
    make_estimate,
    stratified_bootstrap,
    two_way_bootstrap,
)
from textenv.errors import ConfigError

GOLD = "gold"  # the mean of the gold metrics, as a column of its own
KEEPS_UP = 0.5  # the share of a design's own gain that gold has to rise by to keep up with it


@dataclass(frozen=True)
class DesignScores:
    """What the runs of one design scored."""

    seeds: tuple[int, ...]  # the runs' seeds, in order
    # (n_seeds, n_looks) nats a response, each look's mean over prompts; the first is 0.
    kl: FloatArray
    # Metric -> (n_seeds, n_looks, n_prompts); the first look is the start.
    values: Mapping[str, FloatArray]


class Gains(DesignScores):
    """Scores since the start, in standard deviations; `GOLD` is one more metric."""

    def final(self, metric: str) -> FloatArray:
        """Returns (n_seeds, n_prompts) at the end of the training."""
        return self.values[metric][:, -1]


def measure_start(
    values: Mapping[str, FloatArray], designs: Sequence[str], gold: Sequence[str]
) -> tuple[Metric, ...]:
    """Returns mean and standard deviation of each metric over the untrained policy's samples.

    `values` holds (n_seeds, n_prompts) for each metric: those that are trained on, and the gold
    ones.

    Raises:
        ConfigError: A metric gives every sample the same score.
    """
    metrics = []
    for name in (*designs, *gold):
        if np.ptp(values[name]) == 0:
            raise ConfigError(
                f"'{name}' gives every sample of the untrained policy the same score, "
                f"{np.mean(values[name]):g}: there is nothing to learn from, and no unit to "
                "measure a gain in. Choose a graded metric, more prompts, or a better start."
            )
        kind = "gold" if name in gold else "design"
        sd = float(np.std(values[name]))
        metrics.append(Metric(name, kind, float(np.mean(values[name])), sd))  # type: ignore[arg-type] # one of two literals
    return tuple(metrics)


def compute_gains(scores: DesignScores, metrics: Sequence[Metric]) -> Gains:
    """Subtracts the start and divides by the standard deviation; adds the mean of the gold ones."""
    values = {
        metric.name: (scores.values[metric.name] - scores.values[metric.name][:, :1]) / metric.sd
        for metric in metrics
    }
    values[GOLD] = np.mean([values[metric.name] for metric in metrics if metric.kind == "gold"], 0)
    return Gains(scores.seeds, scores.kl, values)


def estimate(table: FloatArray) -> Estimate:
    """Estimates the mean of a table (n_seeds, n_prompts)."""
    return make_estimate(float(table.mean()), two_way_bootstrap(table)[:, 0])


def estimate_divergence(table: FloatArray) -> Estimate:
    """Estimates a mean KL divergence (n_seeds, n_prompts), which is not below 0.

    Single samples of it are, and so may be their mean and its interval.
    """
    found = estimate(table)
    low, high = (max(0.0, bound) for bound in found.ci95)
    return Estimate(max(0.0, found.mean), (low, high))


def compute_row(scores: DesignScores, gains: Gains, metrics: Sequence[Metric]) -> dict[str, Cell]:
    """Returns a design's row of the matrix: what its training did to each metric."""
    row = {}
    for metric in metrics:
        gain = estimate(gains.final(metric.name))
        low, high = gain.ci95
        raw = Estimate(gain.mean * metric.sd, (low * metric.sd, high * metric.sd))
        runs = scores.values[metric.name][:, -1].mean(axis=1, keepdims=True)
        row[metric.name] = Cell(gain, raw, stratified_bootstrap(runs, iqm))
    return row


def compute_curve(design: str, metric: str, gains: Gains) -> Curve:
    """Follows one metric along the training of one design."""
    kl = gains.kl.mean(axis=0)
    tables = np.moveaxis(gains.values[metric], 1, 0)
    start = Point(0.0, Estimate(0.0, (0.0, 0.0)))
    points = (
        start,
        *(Point(float(k), estimate(t)) for k, t in zip(kl[1:], tables[1:], strict=True)),
    )
    heights = np.array([point.gain.mean for point in points])
    # A run that came back to the start has an estimate about 0, on either side.
    distances = np.sqrt(np.maximum(kl, 0.0))
    return Curve(design, metric, points, int(heights.argmax()), fit_gao(distances, heights))


def fall_from_peak(gains: Gains, metric: str = GOLD) -> Estimate:
    """Estimates how far a metric ends below the look at which its mean was highest."""
    table = gains.values[metric]
    peak = int(table.mean(axis=(0, 2)).argmax())
    return estimate(table[:, -1] - table[:, peak])


def gain_at_kl(gains: Gains, kl: float) -> Estimate:
    """Estimates the gold gain where every run is equally far from the start."""
    return estimate(at_matched_kl(gains.kl, gains.values[GOLD], kl))


def compute_hacking_index(gains: Gains, metric: str) -> Estimate:
    """Estimates a design's gain by its own measure minus its gain by the gold metrics."""
    return estimate(gains.final(metric) - gains.final(GOLD))


def compute_lag(gains: Gains, metric: str) -> Estimate:
    """Estimates by how much gold falls short of half of a design's gain by its own measure."""
    return estimate(KEEPS_UP * gains.final(metric) - gains.final(GOLD))


def compare_all(gains: Mapping[str, Gains], gold: Sequence[str]) -> tuple[Comparison, ...]:
    """Compares every pair of designs by their gold gains, with Holm's correction.

    A p-value is the larger of the bootstrap's, over seeds and prompts, and Student's, over seeds.
    """
    found = []
    for first, second in combinations(gains, 2):
        one, other = gains[first], gains[second]
        paired = one.seeds == other.seeds
        drawn = two_way_bootstrap(one.final(GOLD), other.final(GOLD), paired_seeds=paired)
        difference = make_estimate(
            float(one.final(GOLD).mean() - other.final(GOLD).mean()), drawn[:, 0] - drawn[:, 1]
        )
        improvement = probability_of_improvement(_by_run(one, gold), _by_run(other, gold))
        runs = [gains.final(GOLD).mean(axis=1) for gains in (one, other)]
        p = max(bootstrap_p(drawn[:, 0] - drawn[:, 1]), runs_p(*runs, paired=paired))
        found.append((first, second, difference, improvement, p))
    corrected = holm([p for *_, p in found])
    return tuple(
        Comparison(*parts, float(adjusted))
        for parts, adjusted in zip(found, corrected, strict=True)
    )


def _by_run(gains: Gains, gold: Sequence[str]) -> FloatArray:
    """Returns (n_seeds, n_gold): each run's mean over prompts."""
    return np.stack([gains.final(name).mean(axis=1) for name in gold], axis=1)
