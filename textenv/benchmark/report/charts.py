"""The geometry of the line charts: small panels, each with scales of its own or all with the same.

They are drawn by the template as inline SVG, whose colours are the page's own and so follow it into
dark mode.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from textenv.benchmark.report.intervals import Tick, round_ticks
from textenv.benchmark.report.numbers import NBSP, format_interval, format_number
from textenv.benchmark.results import Bench, BestOfN, Curve, Fit, StrategySearch
from textenv.benchmark.statistics import Estimate

WIDTH, HEIGHT = 340.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 38.0, 46.0, 20.0, 36.0  # around the area that is plotted in
_FIT_STEPS = 60
_LABEL_PX = 12.0  # the least distance of two labels' baselines
_LABEL_GAP = 11.0  # from the last point on the right: clear of a ring around it
_STEP_BACK_PX = 1.5  # a band that folds over itself by less looks whole
_TOLD_R2 = 0.5  # a fit that explains less than this share of the variance is not shown


@dataclass(frozen=True)
class Dot:
    """A measured point, and what it says when pointed at."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Line:
    """One curve."""

    role: str  # "gold" or "own": its colour and its marks
    label: str  # written to the right of all points, at the height of the curve's end
    label_x: float  # where it starts
    label_y: float  # its baseline
    path: str  # through the means, as SVG path data
    # Around the intervals, as SVG path data; empty where training stepped back, for then a band
    # would fold over itself.
    band: str
    whiskers: str  # the intervals one by one, as SVG path data; empty where there is a band
    dots: tuple[Dot, ...]  # the means
    peak: Dot | None  # the highest of them; None if that is the first or the last one
    fit: str  # the fitted curve, as SVG path data; empty where none explains half of the variance


@dataclass(frozen=True)
class Chart:
    """Lines on a pair of scales."""

    lines: tuple[Line, ...]  # the curves
    x_ticks: tuple[Tick, ...]  # in pixels
    y_ticks: tuple[Tick, ...]  # in pixels
    zero_y: float | None  # where a gain of 0 is; None if out of sight
    matched_x: float | None  # where the designs are compared; None for nowhere


@dataclass(frozen=True)
class Panel:
    """One design or metric."""

    title: str  # what was trained on, or the metric
    mark: str  # the design's judgement; empty for none
    own: Chart  # its chart, on scales of its own
    # The same on the scales of all panels; None where they measure different things.
    same: Chart | None
    notes: tuple[str, ...]  # what the chart shows, a sentence each


@dataclass(frozen=True)
class Frame:
    """The two scales of a panel."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        """Returns a place in pixels from the left."""
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """Returns a place in pixels from the top."""
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def make_curve_panels(bench: Bench) -> list[Panel]:
    """Returns a panel for each design: its own reward and gold against the distance walked."""
    shared = _frame_curves(bench.curves, bench.matched_kl)
    judgements = {design.name: design.judgement for design in bench.designs}
    panels = []
    for name in dict.fromkeys(curve.design for curve in bench.curves):
        curves = [curve for curve in bench.curves if curve.design == name]
        curves.sort(key=lambda curve: curve.metric == "gold")  # gold is drawn over the others
        own = _frame_curves(curves, bench.matched_kl)
        panels.append(
            Panel(
                name,
                judgements.get(name, ""),
                _make_chart(curves, own, bench.matched_kl),
                _make_chart(curves, shared, bench.matched_kl),
                tuple(_describe(curve) for curve in reversed(curves)),
            )
        )
    return panels


def make_best_of_n_panels(best: BestOfN) -> list[Panel]:
    """Returns a panel for each metric, the proxy's first, each with a scale of its own."""
    distances = [_distance(kl) for kl in best.kl_bound]
    panels = []
    for metric in sorted(best.curves, key=lambda name: name != best.proxy):
        estimates = best.curves[metric]
        frame = _make_frame(distances, estimates, with_zero=False)
        titles = [f"best of {n}" for n in best.n]
        role = "own" if metric == best.proxy else "gold"
        peak = max(range(len(estimates)), key=lambda i: estimates[i].mean)
        line = _make_line(role, "", frame, distances, estimates, titles, peak)
        first, top = estimates[0], estimates[peak]
        note = (
            f"From {format_number(first.mean, 3)} to {format_number(estimates[-1].mean, 3)} "
            f"{format_interval(estimates[-1], 3)} at the best of {best.n[-1]}"
        )
        if 0 < peak < len(estimates) - 1:
            note += f"; highest at the best of {best.n[peak]}: {format_number(top.mean, 3)}"
        ticks = _n_ticks(best.n, distances, frame)
        name = f"{metric}, which picks" if role == "own" else metric
        chart = Chart((line,), ticks, _y_ticks(frame), None, None)
        panels.append(Panel(name, "", chart, None, (note + ".",)))
    return panels


def make_search_panel(found: StrategySearch) -> Panel:
    """Returns a panel with the best mean so far against the number of rules tried."""
    tried = [float(n) for n, _ in found.curve]
    means = [Estimate(mean, (mean, mean)) for _, mean in found.curve]
    frame = _make_frame(tried, means)
    titles = [f"{n} rules" for n, _ in found.curve]
    line = _make_line("own", "", frame, tried, means, titles, len(means) - 1)
    ticks = tuple(Tick(frame.x(n), label) for n, label in round_ticks(0.0, frame.x_high, 4))
    note = f"Ends at {format_number(found.curve[-1][1], 3)}, on the examples that it was chosen on."
    chart = Chart((line,), ticks, _y_ticks(frame), frame.y(0), None)
    return Panel("The search", "", chart, None, (note,))


def _frame_curves(curves: Sequence[Curve], matched_kl: float | None) -> Frame:
    points = [point for curve in curves for point in curve.points]
    distances = [_distance(point.kl) for point in points]
    if matched_kl is not None:
        distances.append(_distance(matched_kl))
    return _make_frame(distances, [point.gain for point in points])


def _make_chart(curves: Sequence[Curve], frame: Frame, matched_kl: float | None) -> Chart:
    return Chart(
        _place_labels([_make_curve(curve, frame) for curve in curves]),
        _kl_ticks(frame),
        _y_ticks(frame),
        frame.y(0),
        None if matched_kl is None else frame.x(_distance(matched_kl)),
    )


def _make_curve(curve: Curve, frame: Frame) -> Line:
    gold = curve.metric == "gold"
    line = _make_line(
        "gold" if gold else "own",
        "gold" if gold else "own",
        frame,
        [_distance(point.kl) for point in curve.points],
        [point.gain for point in curve.points],
        [f"KL {format_number(point.kl)}" for point in curve.points],
        curve.peak,
    )
    if curve.fit is None or curve.fit.r2 < _TOLD_R2:
        return line
    furthest = max((_distance(point.kl) for point in curve.points), default=0.0)
    return replace(line, fit=_fit_path(curve.fit, furthest, frame))


def _make_line(
    role: str,
    label: str,
    frame: Frame,
    distances: Sequence[float],
    estimates: Sequence[Estimate],
    titles: Sequence[str],
    peak: int,
) -> Line:
    places = [(frame.x(d), frame.y(e.mean)) for d, e in zip(distances, estimates, strict=True)]
    dots = tuple(
        Dot(x, y, f"{title}: {format_number(e.mean, 3)} {format_interval(e, 3)}")
        for (x, y), title, e in zip(places, titles, estimates, strict=True)
    )
    xs = [x for x, _ in places]
    highs, lows = ([frame.y(e.ci95[end]) for e in estimates] for end in (1, 0))
    onward = all(b >= a - _STEP_BACK_PX for a, b in itertools.pairwise(xs))
    upper, lower = list(zip(xs, highs, strict=True)), list(zip(xs, lows, strict=True))
    whiskers = "".join(map(_path, zip(lower, upper, strict=True)))
    turned = 0 < peak < len(dots) - 1
    return Line(
        role=role,
        label=label,
        label_x=max((x for x, _ in places), default=0.0),
        label_y=places[-1][1] + 4 if places else 0.0,
        path=_path(places),
        band=_path([*upper, *reversed(lower)]) + "Z" if onward and len(places) > 1 else "",
        whiskers="" if onward else whiskers,
        dots=dots,
        peak=dots[peak] if turned else None,
        fit="",
    )


def _make_frame(
    distances: Sequence[float], estimates: Sequence[Estimate], with_zero: bool = True
) -> Frame:
    values = [value for e in estimates for value in (*e.ci95, e.mean)] + [0.0] * with_zero
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.5
    return Frame(0.0, max([*distances, 0.0]) or 1.0, low - margin, high + margin)


def _fit_path(fit: Fit, furthest: float, frame: Frame) -> str:
    # R = d (a - b log d), which is 0 at d = 0.
    places = []
    for i in range(1, _FIT_STEPS + 1):
        d = furthest * i / _FIT_STEPS
        value = d * (fit.a - fit.b * math.log(d)) if d > 0 else 0.0
        if frame.y_low <= value <= frame.y_high:
            places.append((frame.x(d), frame.y(value)))
    return _path(places)


def _describe(curve: Curve) -> str:
    name = "Gold" if curve.metric == "gold" else "Its own reward"
    if not curve.points:
        return f"{name} was not measured."
    peak, last = curve.points[curve.peak], curve.points[-1]
    text = f"{name} ends at {format_number(last.gain.mean, signed=True)} sd"
    if 0 < curve.peak < len(curve.points) - 1:
        highest = format_number(peak.gain.mean, signed=True)
        text += f", its peak is {highest} at KL {format_number(peak.kl, 1)}"
    if curve.fit is not None and curve.fit.r2 < _TOLD_R2:
        text += f"; no fit explains it (R² = {format_number(curve.fit.r2)})"
    elif curve.fit is not None:
        a, b, r2 = (format_number(x) for x in (curve.fit.a, curve.fit.b, curve.fit.r2))
        text += f"; fit a = {a}, b = {b}, R² = {r2}"
        if curve.fit.peak_kl is not None:
            text += f", turning at KL {format_number(curve.fit.peak_kl, 1)}"
    # A number stays beside its name.
    return re.sub(r" = |(?<=KL) |(?= sd\b) ", lambda found: found[0].replace(" ", NBSP), text) + "."


def _place_labels(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Sets labels to the right of every point, and apart from each other within the panel."""
    x = max((line.label_x for line in lines), default=0.0) + _LABEL_GAP
    ordered = sorted(lines, key=lambda line: line.label_y)
    heights = [line.label_y for line in ordered]
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + _LABEL_PX)
    highest = HEIGHT - BOTTOM - 3
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], highest)
        highest = heights[i] - _LABEL_PX
    placed = [
        replace(line, label_x=round(x, 1), label_y=round(y, 1))
        for line, y in zip(ordered, heights, strict=True)
    ]
    return tuple(sorted(placed, key=lambda line: line.role == "gold"))


def _kl_ticks(frame: Frame) -> tuple[Tick, ...]:
    """Returns ticks at whole steps of sqrt(KL), or round parts of one, labelled by their KL."""
    return tuple(
        Tick(frame.x(d), f"{d * d:.3g}") for d, _ in round_ticks(frame.x_low, frame.x_high)
    )


def _n_ticks(n: Sequence[int], distances: Sequence[float], frame: Frame) -> tuple[Tick, ...]:
    ticks: list[Tick] = []
    for size, distance in zip(n, distances, strict=True):
        at = frame.x(distance)
        if not ticks or at - ticks[-1].at >= 2 * _LABEL_PX:
            ticks.append(Tick(at, str(size)))
    return tuple(ticks)


def _y_ticks(frame: Frame) -> tuple[Tick, ...]:
    return tuple(
        Tick(frame.y(value), label) for value, label in round_ticks(frame.y_low, frame.y_high)
    )


def _distance(kl: float) -> float:
    """Returns sqrt(KL); an estimate of a KL may fall a little below 0."""
    return math.sqrt(max(kl, 0.0))


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in places) if places else ""
