"""One rating beside one reward, at three levels, with what resamples of items and systems give.

In each resample items and systems are drawn with replacement, both, since other articles and other
systems could have been judged: the "boot-both" of Deutsch et al. 2021 (arXiv 2104.00054). Where the
systems are not known, items alone are drawn. All rewards share the draws, so that differences
between them are paired.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textenv.benchmark.agreement import pairwise
from textenv.benchmark.agreement.rank_correlation import (
    FloatArray,
    kendall,
    kendall_of_resamples,
    mean_of_defined,
    spearman,
    spearman_of_resamples,
)
from textenv.benchmark.agreement.ratings import IntArray, Layout
from textenv.benchmark.agreement.records import Level

BoolArray = NDArray[np.bool_]

FEW_SYSTEMS = 3  # of which a rank correlation says something
_LARGE = 4_000  # texts whose pairs are too many for all resamples
_FEWER = 200  # resamples of these
_NUMBERS = 4_000_000  # in memory at once


@dataclass(frozen=True)
class Sample:
    """A statistic, and what it was in each resample (r,); NaN where it is not defined."""

    value: float
    resampled: FloatArray


@dataclass(frozen=True)
class Correlations:
    """Two rank correlations at one level."""

    kendall: Sample
    spearman: Sample
    n: int  # items that count, texts, or systems


class Resampler:
    """Compares scores of the texts of one layout, with the same draws for all scores."""

    def __init__(self, layout: Layout, resamples: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.layout = layout
        self.resamples = resamples
        self.groups = layout.groups()
        self.pairs = pairwise.make_pairs(self.groups)
        self._items = _draw(rng, layout.n_items, resamples)  # (r, items)
        n_systems = len(layout.system_names)
        self._systems = None if layout.systems is None else _draw(rng, n_systems, resamples)

    def correlate(self, x: FloatArray, y: FloatArray) -> dict[Level, Correlations]:
        """Correlates two scores (n,) of the texts, at the levels that the layout has.

        Texts without either score, NaN, are left out.
        """
        is_scored = ~(np.isnan(x) | np.isnan(y))
        found: dict[Level, Correlations] = {}
        if len(self.pairs.item):
            found["within"] = self._within(x, y, is_scored)
        found["pooled"] = self._pooled(x[is_scored], y[is_scored], np.flatnonzero(is_scored))
        if self.layout.systems is not None and len(self.layout.system_names) >= FEW_SYSTEMS:
            found["systems"] = self._between(x, y, is_scored)
        return found

    def _within(self, x: FloatArray, y: FloatArray, is_scored: BoolArray) -> Correlations:
        values = np.full((2, len(self.groups)), np.nan)
        drawn = np.full(
            (2, 1 if self._systems is None else self.resamples, len(self.groups)), np.nan
        )
        for g, group in enumerate(self.groups):
            texts = group[is_scored[group]]
            if len(texts) < 2:
                continue
            first, second = x[texts], y[texts]
            values[:, g] = kendall(first, second), spearman(first, second)
            if self._systems is None or self.layout.systems is None:
                drawn[:, 0, g] = values[:, g]
                continue
            weights = self._systems[:, self.layout.systems[texts]]
            drawn[0, :, g] = kendall_of_resamples(first, second, weights)
            drawn[1, :, g] = spearman_of_resamples(first, second, weights)
        n = int((~np.isnan(values[0])).sum())
        samples = [
            Sample(
                float(mean_of_defined(value, np.ones(len(value)))), mean_of_defined(of, self._items)
            )
            for value, of in zip(values, drawn, strict=True)
        ]
        return Correlations(samples[0], samples[1], n)

    def _pooled(self, x: FloatArray, y: FloatArray, texts: IntArray) -> Correlations:
        n = min(self.resamples, _FEWER) if len(texts) > _LARGE else self.resamples
        weights = self._text_weights(texts)[:n]
        tau, rho = np.full((2, self.resamples), np.nan)
        tau[:n] = kendall_of_resamples(x, y, weights)
        rho[:n] = spearman_of_resamples(x, y, weights)
        return Correlations(Sample(kendall(x, y), tau), Sample(spearman(x, y), rho), len(texts))

    def _between(self, x: FloatArray, y: FloatArray, is_scored: BoolArray) -> Correlations:
        assert self._systems is not None
        texts = np.flatnonzero(is_scored)
        first, second = (self._system_means(v, texts, np.ones((1, len(texts))))[0] for v in (x, y))
        has = ~np.isnan(first)
        weights = self._items[:, self.layout.items[texts]]
        x_drawn, y_drawn = (self._system_means(v, texts, weights) for v in (x, y))
        # A system none of whose items was drawn has no mean, and does not count.
        counts = self._systems * ~np.isnan(x_drawn)
        x_drawn, y_drawn = np.nan_to_num(x_drawn), np.nan_to_num(y_drawn)
        return Correlations(
            Sample(
                kendall(first[has], second[has]), kendall_of_resamples(x_drawn, y_drawn, counts)
            ),
            Sample(
                spearman(first[has], second[has]), spearman_of_resamples(x_drawn, y_drawn, counts)
            ),
            int(has.sum()),
        )

    def _system_means(self, x: FloatArray, texts: IntArray, weights: FloatArray) -> FloatArray:
        """Returns the mean of each system (r, systems) over texts with weights (r, texts)."""
        assert self.layout.systems is not None
        wrote = np.zeros((len(texts), len(self.layout.system_names)))
        wrote[np.arange(len(texts)), self.layout.systems[texts]] = 1
        with np.errstate(invalid="ignore", divide="ignore"):
            return _without_noise((weights * x[texts]) @ wrote / (weights @ wrote))

    def pairwise_accuracy(self, x: FloatArray, y: FloatArray) -> tuple[Sample, float] | None:
        """Returns the accuracy on pairs within items, ties calibrated, and the threshold.

        Every item counts alike. Resamples keep the threshold of the whole sample.
        """
        first, second = self.pairs.first, self.pairs.second
        scored = np.flatnonzero(~np.isnan(x[first] + x[second] + y[first] + y[second]))
        if not len(scored):
            return None
        first, second, item = first[scored], second[scored], self.pairs.item[scored]
        starts = np.flatnonzero(np.diff(item, prepend=-1))
        sizes = np.diff(np.append(starts, len(item)))
        weights = np.repeat(1 / (sizes * len(sizes)), sizes)
        threshold, is_right = pairwise.calibrate_ties(
            x[first] - x[second], y[first] - y[second], weights
        )
        items = self._items[:, item[starts]]
        if self._systems is None or self.layout.systems is None:
            by_item = np.add.reduceat(is_right, starts) / sizes
            drawn = mean_of_defined(by_item, items)
        else:
            systems = self.layout.systems
            parts = []
            for rows in self._chunks(len(item)):
                drawn_pairs = (
                    self._systems[rows][:, systems[first]] * self._systems[rows][:, systems[second]]
                )
                with np.errstate(invalid="ignore"):
                    by_item = np.add.reduceat(drawn_pairs * is_right, starts, axis=1) / (
                        np.add.reduceat(drawn_pairs, starts, axis=1)
                    )
                parts.append(mean_of_defined(by_item, items[rows]))
            drawn = np.concatenate(parts)
        return Sample(float((weights * is_right).sum()), drawn), threshold

    def system_p_values(self, x: FloatArray) -> FloatArray | None:
        """Returns the p-values of all pairs of systems; None where there are no two systems."""
        if self.layout.systems is None or len(self.layout.system_names) < 2:
            return None
        shape = (len(self.layout.system_names), self.layout.n_items)
        texts = np.flatnonzero(~np.isnan(x))
        place = np.ravel_multi_index((self.layout.systems[texts], self.layout.items[texts]), shape)
        sums = np.bincount(place, x[texts], minlength=shape[0] * shape[1])
        counts = np.bincount(place, minlength=shape[0] * shape[1])
        with np.errstate(invalid="ignore"):
            return pairwise.system_p_values((sums / counts).reshape(shape))

    def soft_accuracy(self, p_values: FloatArray, human_p_values: FloatArray) -> Sample:
        """Returns soft pairwise accuracy; its resamples draw systems alone."""
        assert self._systems is not None
        first, second = np.triu_indices(len(self.layout.system_names), 1)
        weights = self._systems[:, first] * self._systems[:, second]
        value = pairwise.soft_accuracy(human_p_values, p_values, np.ones(len(first)))
        return Sample(float(value), pairwise.soft_accuracy(human_p_values, p_values, weights))

    def _text_weights(self, texts: IntArray) -> FloatArray:
        weights = self._items[:, self.layout.items[texts]]
        if self._systems is None or self.layout.systems is None:
            return weights
        return np.asarray(weights * self._systems[:, self.layout.systems[texts]])

    def _chunks(self, numbers: int) -> Iterator[slice]:
        size = max(1, _NUMBERS // max(1, numbers))
        return (slice(start, start + size) for start in range(0, self.resamples, size))


def _without_noise(means: FloatArray) -> FloatArray:
    """Rounds means to 12 digits of the largest: what is equal must not differ by summation order.

    Ratings have few levels, so systems do have equal means, and a tie counts otherwise than an
    order that rounding made.
    """
    size = float(np.nanmax(np.abs(means), initial=0.0))
    if size == 0:
        return means
    return np.round(means / size, 12) * size


def _draw(rng: np.random.Generator, n: int, resamples: int) -> FloatArray:
    """Returns how often each of n was drawn (r, n)."""
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.float64)
