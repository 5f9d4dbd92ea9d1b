"""Intervals drawn in a table's cell, in per cent of its width."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from textenv.benchmark.statistics import Estimate
from textenv.report.numbers import format_number

_MARGIN = 4.0  # per cent left free at either end, so that marks are never cut


@dataclass(frozen=True)
class Bar:
    """A mean and its interval, in per cent of the axis; its mark is "own", "gold" or "gap"."""

    mark: str
    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis, in per cent or in pixels."""

    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """What one column's intervals share."""

    low: float  # the value at its start
    high: float  # the value at its end
    ticks: tuple[Tick, ...]  # round values within it
    zero: float | None  # where 0 is, in per cent; None outside
    reference: float | None  # where a value to compare with is, in per cent; None without one

    def at(self, value: float) -> float:
        """Returns a value's place in per cent."""
        return _place(value, self.low, self.high)

    def place(self, estimate: Estimate, mark: str) -> Bar:
        """Returns an estimate as places on this axis."""
        low, high = estimate.ci95
        return Bar(mark, self.at(low), self.at(estimate.mean), self.at(high))


def make_axis(estimates: Iterable[Estimate | None], reference: float | None = None) -> Axis:
    """Returns an axis that holds all intervals, and 0."""
    bounds = [value for e in estimates if e is not None for value in (*e.ci95, e.mean)]
    low, high = min([0.0, *bounds]), max([0.0, *bounds])
    if low == high:
        high = low + 1
    ticks = tuple(
        Tick(round(_place(value, low, high), 2), label) for value, label in round_ticks(low, high)
    )
    at = None if reference is None else _place(reference, low, high)
    return Axis(low, high, ticks, _place(0, low, high), at)


def round_ticks(low: float, high: float, wanted: int = 5) -> list[tuple[float, str]]:
    """Returns round values from low to high, 1, 2 or 5 times a power of ten apart, with labels."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(i * step, format_number(i * step, decimals)) for i in range(first, last + 1)]


def _place(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low)
    return round(_MARGIN + (100 - 2 * _MARGIN) * share, 2)
