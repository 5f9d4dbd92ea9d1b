"""From the scores of finished runs to the train x eval matrix, curves and comparisons.

Every run of every design is looked at on the same held-out prompts, some times along its training;
the first look is the untrained policy, of which each seed has some samples a prompt. A gain is a
score minus their mean for the same prompt and seed, in standard deviations of the metric over all
of the untrained policy's samples. Intervals count seeds and prompts as samples
(`textenv.benchmark.effects`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from textenv.benchmark.comparison import holm, probability_of_improvement
from textenv.benchmark.effects import Effect, Effects
from textenv.benchmark.overoptimisation import at_matched_kl, fit_gao
from textenv.benchmark.results import Cell, Comparison, Curve, Metric, Point
from textenv.benchmark.statistics import Estimate, FloatArray, iqm, stratified_bootstrap
from textenv.errors import ConfigError

GOLD = "gold"  # the mean of the gold metrics, as a column of its own
RANDOM = "random"  # the control that is paid at random
KEEPS_UP = 0.5  # the share of a design's own gain that gold has to rise by to keep up with it
LEAST = 0.2  # sd; gains, and differences of gains, that are shown to be smaller are called none

Quantity = Callable[["Gains", str], FloatArray]


@dataclass(frozen=True)
class DesignScores:
    """What the runs of one design scored."""

    seeds: tuple[int, ...]  # the runs' seeds, in order
    # (n_seeds, n_looks) nats a response, each look's mean over prompts; the first is 0.
    kl: FloatArray
    kl_by_token: FloatArray  # (n_seeds, n_looks) the same over the mean number of tokens
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
    return Gains(scores.seeds, scores.kl, scores.kl_by_token, values)


class BenchGains:
    """The gains of all designs, and of the control if there is one.

    A design is measured by its own metric, by gold, and by how the two differ; whatever is
    measured, what happened to the control by the same measure is subtracted.
    """

    def __init__(self, gains: Mapping[str, Gains]) -> None:
        self.gains = gains

    def own(self, name: str) -> Effect:
        """Returns a design's gain by its own measure."""
        return self._effect(name, lambda gains, metric: gains.final(metric))

    def gold(self, name: str, gold: str = GOLD) -> Effect:
        """Returns a design's gain by the gold metrics' mean, or by one of them."""
        return self._effect(name, lambda gains, metric: gains.final(gold))

    def gold_since_start(self, name: str) -> Effect:
        """Returns the gain by the gold metrics' mean since the start, control or no control."""
        tables = {other: gains.final(GOLD) for other, gains in self.gains.items()}
        return Effects(tables).since_start(name)

    def hacking_index(self, name: str, gold: str = GOLD) -> Effect:
        """Returns a design's gain by its own measure minus its gain by gold."""
        return self._effect(name, lambda gains, metric: gains.final(metric) - gains.final(gold))

    def lag(self, name: str, gold: str = GOLD) -> Effect:
        """Returns by how much gold falls short of half of a design's gain by its own measure."""
        return self._effect(
            name, lambda gains, metric: KEEPS_UP * gains.final(metric) - gains.final(gold)
        )

    def fall(self, name: str, gold: str = GOLD) -> Effect:
        """Returns how far gold ends below its peak, at most 0 but for noise."""
        tables = {other: fall_from_peak(gains, gold) for other, gains in self.gains.items()}
        return Effects(tables).since_start(name)

    def at_kl(
        self, kl: float, names: Sequence[str], *, by_token: bool = False
    ) -> dict[str, Effect]:
        """Returns the gold gains of designs where every run is equally far from the start."""
        tables = {
            name: at_matched_kl(
                self.gains[name].kl_by_token if by_token else self.gains[name].kl,
                self.gains[name].values[GOLD],
                kl,
            )
            for name in names
        }
        effects = Effects(tables)
        return {name: effects.since_start(name) for name in names}

    def row(self, name: str, scores: DesignScores, metrics: Sequence[Metric]) -> dict[str, Cell]:
        """Returns a row of the matrix: what a design's training did to each metric."""
        row = {}
        for metric in metrics:
            tables = {n: gains.final(metric.name) for n, gains in self.gains.items()}
            gain = Effects(tables).since_start(name).estimate()
            low, high = gain.ci95
            raw = Estimate(gain.mean * metric.sd, (low * metric.sd, high * metric.sd))
            runs = scores.values[metric.name][:, -1].mean(axis=1, keepdims=True)
            row[metric.name] = Cell(gain, raw, stratified_bootstrap(runs, iqm))
        return row

    def curve(self, name: str, metric: str) -> Curve:
        """Follows one metric along the training of one design."""
        gains = self.gains[name]
        kl = gains.kl.mean(axis=0)
        points = [Point(0.0, Estimate(0.0, (0.0, 0.0)))]
        for look in range(1, len(kl)):
            tables = {
                n: found.values[metric][:, look]
                for n, found in self.gains.items()
                if found.kl.shape[1] > look
            }
            points.append(Point(float(kl[look]), Effects(tables).since_start(name).estimate()))
        heights = np.array([point.gain.mean for point in points])
        # A run that came back to the start has an estimate about 0, on either side.
        distances = np.sqrt(np.maximum(kl, 0.0))
        return Curve(
            name, metric, tuple(points), int(heights.argmax()), fit_gao(distances, heights)
        )

    def compare(self, gold: Sequence[str]) -> tuple[Comparison, ...]:
        """Compares every pair by their gold gains, with Holm's correction."""
        effects = Effects({name: gains.final(GOLD) for name, gains in self.gains.items()})
        found = []
        for first, second in combinations(self.gains, 2):
            one, other = (_by_run(self.gains[name], gold) for name in (first, second))
            difference = effects.minus(first, second)
            found.append((first, second, difference, probability_of_improvement(one, other)))
        corrected = holm([difference.p() for *_, difference, _ in found])
        return tuple(
            Comparison(
                first,
                second,
                difference.estimate(),
                improvement,
                difference.p(),
                float(p_holm),
                difference.is_within(LEAST),
            )
            for (first, second, difference, improvement), p_holm in zip(
                found, corrected, strict=True
            )
        )

    def best_of(self, names: Sequence[str]) -> Estimate | None:
        """Estimates the gold gain of the best of all designs, without having chosen by luck.

        The best design is the one whose gain came out highest, partly by chance. So each seed's
        gain is read for the design that is the best by all the other seeds (cross-fitting). The
        interval is Bonferroni's for the number of designs. None with fewer than two seeds in all
        designs, or fewer than two designs. `names` are all that were trained: to leave some out by
        what they gained would be a choice, too.
        """
        if len(names) < 2:
            return None
        seeds = sorted(set.intersection(*(set(self.gains[name].seeds) for name in names)))
        if len(seeds) < 2:
            return None
        runs = {name: _by_seed(self.gains[name], seeds) for name in names}
        found = []
        for place in range(len(seeds)):
            others = {name: np.delete(gold, place).mean() for name, gold in runs.items()}
            found.append(runs[max(names, key=others.__getitem__)][place])
        winner = max(names, key=lambda name: runs[name].mean())
        luck = runs[winner].mean() - np.mean(found)
        effect = self.gold(winner)
        without_choice = replace(effect, mean=effect.mean - float(luck))
        return without_choice.estimate(len(names))

    def _effect(self, name: str, quantity: Quantity) -> Effect:
        # The control by the same measure as the design; the other designs, which lend it the
        # variance of their runs, each by its own.
        tables = {
            other: quantity(gains, name if other == RANDOM else other)
            for other, gains in self.gains.items()
        }
        return Effects(tables, RANDOM).gain(name)


def estimate_divergence(table: FloatArray) -> Estimate:
    """Estimates a mean KL divergence (n_seeds, n_prompts), which is not below 0.

    Single samples of it are, and so may be their mean and its interval.
    """
    found = Effects({"": table}).since_start("").estimate()
    low, high = (max(0.0, bound) for bound in found.ci95)
    return Estimate(max(0.0, found.mean), (low, high))


def fall_from_peak(gains: Gains, metric: str = GOLD) -> FloatArray:
    """Returns how far a metric ends below its peak, (n_seeds, n_prompts).

    A look that is chosen because it came out highest is partly high by luck. So each seed's peak is
    the look at which the other seeds are highest; with a single seed, one half of the prompts
    chooses for the other.
    """
    table = gains.values[metric]
    fall = np.empty((table.shape[0], table.shape[2]))
    if len(table) > 1:
        for seed in range(len(table)):
            others = np.delete(table, seed, axis=0)
            peak = int(others.mean(axis=(0, 2)).argmax())
            fall[seed] = table[seed, -1] - table[seed, peak]
        return fall
    for half in (0, 1):
        peak = int(table[0, :, 1 - half :: 2].mean(axis=1).argmax()) if table.shape[2] > 1 else -1
        fall[0, half::2] = table[0, -1, half::2] - table[0, peak, half::2]
    return fall


def _by_run(gains: Gains, gold: Sequence[str]) -> FloatArray:
    """Returns (n_seeds, n_gold): each run's mean over prompts."""
    return np.stack([gains.final(name).mean(axis=1) for name in gold], axis=1)


def _by_seed(gains: Gains, seeds: Sequence[int]) -> FloatArray:
    """Returns (n_seeds,): the mean gold gain of the run of each seed."""
    runs: FloatArray = gains.final(GOLD).mean(axis=1)
    return runs[[gains.seeds.index(seed) for seed in seeds]]
