"""The line charts of a bench, of the best of n and of a search."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from textenv.benchmark.results import Bench, BestOfN, Curve, Fit, StrategySearch
from textenv.benchmark.statistics import Estimate
from textenv.report.charts import (
    LABEL_PX,
    Chart,
    Frame,
    Line,
    Panel,
    make_frame,
    make_line,
    make_path,
    make_y_ticks,
    place_labels,
)
from textenv.report.intervals import Tick, round_ticks
from textenv.report.numbers import NBSP, format_interval, format_number

_FIT_STEPS = 60
_TOLD_R2 = 0.5  # a fit that explains less than this share of the variance is not shown


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
        frame = make_frame(distances, estimates, with_zero=False)
        titles = [f"best of {n}" for n in best.n]
        role = "own" if metric == best.proxy else "gold"
        peak = max(range(len(estimates)), key=lambda i: estimates[i].mean)
        line = make_line(role, "", frame, distances, estimates, titles, peak)
        first, top = estimates[0], estimates[peak]
        note = (
            f"From {format_number(first.mean, 3)} to {format_number(estimates[-1].mean, 3)} "
            f"{format_interval(estimates[-1], 3)} at the best of {best.n[-1]}"
        )
        if 0 < peak < len(estimates) - 1:
            note += f"; highest at the best of {best.n[peak]}: {format_number(top.mean, 3)}"
        ticks = _n_ticks(best.n, distances, frame)
        name = f"{metric}, which picks" if role == "own" else metric
        chart = Chart((line,), ticks, make_y_ticks(frame), None, None)
        panels.append(Panel(name, "", chart, None, (note + ".",)))
    return panels


def make_search_panel(found: StrategySearch) -> Panel:
    """Returns a panel with the best mean so far against the number of rules tried."""
    tried = [float(n) for n, _ in found.curve]
    means = [Estimate(mean, (mean, mean)) for _, mean in found.curve]
    frame = make_frame(tried, means)
    titles = [f"{n} rules" for n, _ in found.curve]
    line = make_line("own", "", frame, tried, means, titles, len(means) - 1)
    ticks = tuple(Tick(frame.x(n), label) for n, label in round_ticks(0.0, frame.x_high, 4))
    note = f"Ends at {format_number(found.curve[-1][1], 3)}, on the examples that it was chosen on."
    chart = Chart((line,), ticks, make_y_ticks(frame), frame.y(0), None)
    return Panel("The search", "", chart, None, (note,))


def _frame_curves(curves: Sequence[Curve], matched_kl: float | None) -> Frame:
    points = [point for curve in curves for point in curve.points]
    distances = [_distance(point.kl) for point in points]
    if matched_kl is not None:
        distances.append(_distance(matched_kl))
    return make_frame(distances, [point.gain for point in points])


def _make_chart(curves: Sequence[Curve], frame: Frame, matched_kl: float | None) -> Chart:
    return Chart(
        place_labels([_make_curve(curve, frame) for curve in curves]),
        _kl_ticks(frame),
        make_y_ticks(frame),
        frame.y(0),
        None if matched_kl is None else frame.x(_distance(matched_kl)),
    )


def _make_curve(curve: Curve, frame: Frame) -> Line:
    gold = curve.metric == "gold"
    line = make_line(
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


def _fit_path(fit: Fit, furthest: float, frame: Frame) -> str:
    # R = d (a - b log d), which is 0 at d = 0.
    places = []
    for i in range(1, _FIT_STEPS + 1):
        d = furthest * i / _FIT_STEPS
        value = d * (fit.a - fit.b * math.log(d)) if d > 0 else 0.0
        if frame.y_low <= value <= frame.y_high:
            places.append((frame.x(d), frame.y(value)))
    return make_path(places)


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


def _kl_ticks(frame: Frame) -> tuple[Tick, ...]:
    """Returns ticks at whole steps of sqrt(KL), or round parts of one, labelled by their KL."""
    return tuple(
        Tick(frame.x(d), f"{d * d:.3g}") for d, _ in round_ticks(frame.x_low, frame.x_high)
    )


def _n_ticks(n: Sequence[int], distances: Sequence[float], frame: Frame) -> tuple[Tick, ...]:
    ticks: list[Tick] = []
    for size, distance in zip(n, distances, strict=True):
        at = frame.x(distance)
        if not ticks or at - ticks[-1].at >= 2 * LABEL_PX:
            ticks.append(Tick(at, str(size)))
    return tuple(ticks)


def _distance(kl: float) -> float:
    """Returns sqrt(KL); an estimate of a KL may fall a little below 0."""
    return math.sqrt(max(kl, 0.0))
