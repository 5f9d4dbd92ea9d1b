"""The train x eval matrix as a heat table: what each design did to each metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from textenv.benchmark.matrix import GOLD
from textenv.benchmark.report.record_files import is_untrained
from textenv.benchmark.results import Bench, Cell, Design, Metric
from textenv.benchmark.statistics import Estimate
from textenv.report.numbers import (
    MISSING,
    count_decimals,
    excludes_zero,
    format_interval,
    format_number,
)

MEASURES = {
    "gain": "gain, in sd",
    "raw": "gain, in the metric's unit",
    "iqm": "score after training",
}
_FULL = 100.0  # the strongest colour, in per cent


@dataclass(frozen=True)
class Shown:
    """One measure of a cell: the mean and its interval."""

    measure: str
    text: str
    interval: str


@dataclass(frozen=True)
class HeatCell:
    """One coloured cell."""

    # Each measure, in the order of `MEASURES`; empty where there is no cell.
    shown: tuple[Shown, ...]
    tint: float  # how strong its colour is, 0 to 100
    falls: bool  # the gain is negative
    own: bool  # the design is judged by the metric that it was trained on
    gold: bool  # the metric is a gold one
    sure: bool  # the interval of the gain excludes 0
    title: str  # everything about it, in a sentence


@dataclass(frozen=True)
class HeatTable:
    """The matrix with its headings and its legend."""

    designs: tuple[Design, ...]  # the rows
    metrics: tuple[Metric, ...]  # the columns, the gold ones last
    n_gold: int  # how many of them are gold
    # A cell for each design and metric, then one for the mean of the gold metrics.
    rows: tuple[tuple[HeatCell, ...], ...]
    # (label, tint, falls) from the largest loss to the largest gain.
    legend: tuple[tuple[str, float, bool], ...]


def make_matrix(bench: Bench) -> HeatTable:
    """Arranges a benchmark's matrix; designs that it lacks get empty cells.

    Gains are counted from the untrained policy, whose own row is 0 by definition.
    """
    metrics = sorted(bench.metrics, key=lambda metric: metric.kind == "gold")
    # A design's own gold gain is beyond the control's; here all is counted from the start.
    ends = {c.design: c.points[-1].gain for c in bench.curves if c.metric == GOLD}
    gains = [cell.gain.mean for row in bench.matrix.values() for cell in row.values()]
    gains += [gain.mean for gain in ends.values()]
    largest = max((abs(gain) for gain in gains), default=0.0) or 1.0
    rows = tuple(
        (
            *(
                _make_cell(design, metric, bench.matrix.get(design.name, {}), largest)
                for metric in metrics
            ),
            _make_mean(design, ends.get(design.name), largest),
        )
        for design in bench.designs
    )
    n_gold = sum(metric.kind == "gold" for metric in metrics)
    return HeatTable(bench.designs, tuple(metrics), n_gold, rows, _make_legend(largest))


def _make_cell(design: Design, metric: Metric, row: dict[str, Cell], largest: float) -> HeatCell:
    cell = row.get(metric.name)
    shown: tuple[Shown, ...] = ()
    gain, title = None, "Not measured"
    if is_untrained(design):
        before = format_number(metric.before, 3)
        shown = (Shown("gain", "0.00", ""), Shown("raw", "0", ""), Shown("iqm", before, ""))
        title = f"The start of every run: {metric.name} is {before}"
    elif cell is not None:
        gain = cell.gain
        shown = (
            _show("gain", gain, signed=True, decimals=2),
            _show("raw", cell.raw_gain, signed=True),
            _show("iqm", cell.iqm),
        )
        before = format_number(metric.before, count_decimals(cell.iqm))
        title = (
            f"Trained on {design.name}, {metric.name}: "
            f"{shown[0].text} sd {shown[0].interval}; in its own unit {shown[1].text} "
            f"{shown[1].interval}, from {before}; after training {shown[2].text} "
            f"{shown[2].interval}"
        )
    own, gold = metric.name == design.name, metric.kind == "gold"
    return _color(shown, gain, largest, own=own, gold=gold, title=title)


def _make_mean(design: Design, gain: Estimate | None, largest: float) -> HeatCell:
    shown: tuple[Shown, ...] = ()
    title = "Not measured"
    if is_untrained(design):
        shown, title = (Shown("gain", "0.00", ""),), "The start of every run"
    elif gain is not None:
        shown = (_show("gain", gain, signed=True, decimals=2),)
        title = (
            f"Trained on {design.name}, mean of the gold metrics: {shown[0].text} sd "
            f"{shown[0].interval}"
        )
    return _color(shown, gain, largest, own=False, gold=True, title=title)


def _color(
    shown: tuple[Shown, ...],
    gain: Estimate | None,
    largest: float,
    *,
    own: bool,
    gold: bool,
    title: str,
) -> HeatCell:
    """Colours a cell by its gain; one without a gain stays white."""
    if gain is None:
        return HeatCell(shown, 0.0, False, own, gold, False, title)
    tint = compute_tint(gain.mean, largest)
    return HeatCell(shown, tint, gain.mean < 0, own, gold, excludes_zero(gain), title)


def compute_tint(gain: float, largest: float) -> float:
    """Returns the strength of a gain's colour, 0 to 100.

    It follows the square root, so that one hacked design does not leave all others white.
    """
    if not math.isfinite(gain):
        return 0.0
    return round(_FULL * math.sqrt(min(abs(gain) / largest, 1.0)), 1)


def _show(measure: str, estimate: Estimate, signed: bool = False, decimals: int = -1) -> Shown:
    decimals = count_decimals(estimate) if decimals < 0 else decimals
    text = format_number(estimate.mean, decimals, signed)
    return Shown(measure, text, "" if text == MISSING else format_interval(estimate, decimals))


def _make_legend(largest: float) -> tuple[tuple[str, float, bool], ...]:
    shares: Sequence[float] = (-1, -0.5, -0.1, 0, 0.1, 0.5, 1)
    return tuple(
        (
            format_number(share * largest, signed=True),
            compute_tint(share * largest, largest),
            share < 0,
        )
        for share in shares
    )
