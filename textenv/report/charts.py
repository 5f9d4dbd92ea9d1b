"""The geometry of the line charts: small panels, each with scales of its own or all with the same.

They are drawn by the template as inline SVG, whose colours are the page's own and so follow it into
dark mode.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from textenv.benchmark.statistics import Estimate
from textenv.report.intervals import Tick, round_ticks
from textenv.report.numbers import format_interval, format_number

WIDTH, HEIGHT = 340.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 38.0, 46.0, 20.0, 36.0  # around the area that is plotted in
LABEL_PX = 12.0  # the least distance of two labels' baselines
_LABEL_GAP = 11.0  # from the last point on the right: clear of a ring around it
_STEP_BACK_PX = 1.5  # a band that folds over itself by less looks whole


@dataclass(frozen=True)
class Dot:
    """A measured point, and what it says when pointed at."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Line:
    """One curve."""

    role: str  # its colour and its marks: "own", "gold", or "run1" to "run6"
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
    zero_y: float | None  # where 0 is marked; None for nowhere
    matched_x: float | None  # a place on the x axis to mark; None for nowhere


@dataclass(frozen=True)
class Panel:
    """A chart with its title and its notes."""

    title: str  # what is drawn
    mark: str  # the symbol before the title, such as a judgement; empty for none
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


def make_line(
    role: str,
    label: str,
    frame: Frame,
    distances: Sequence[float],
    estimates: Sequence[Estimate],
    titles: Sequence[str],
    peak: int,
    *,
    has_dots: bool = True,
) -> Line:
    """Draws estimates at some places of the x axis.

    Args:
        role: Colour and marks of the line, as in `Line`.
        label: Name at the end of the line; empty for none.
        frame: The scales.
        distances: (n,) places on the x axis.
        estimates: (n,) means and their intervals, drawn as a band.
        titles: (n,) what each place is called.
        peak: Number of the highest estimate, which is marked unless it is the first or the last.
        has_dots: Whether each estimate has a mark of its own.
    """
    places = [(frame.x(d), frame.y(e.mean)) for d, e in zip(distances, estimates, strict=True)]
    dots = tuple(
        Dot(x, y, f"{title}: {format_number(e.mean, 3)} {format_interval(e, 3)}")
        for (x, y), title, e in zip(places, titles, estimates, strict=True)
    )
    xs = [x for x, _ in places]
    highs, lows = ([frame.y(e.ci95[end]) for e in estimates] for end in (1, 0))
    onward = all(b >= a - _STEP_BACK_PX for a, b in itertools.pairwise(xs))
    upper, lower = list(zip(xs, highs, strict=True)), list(zip(xs, lows, strict=True))
    whiskers = "".join(map(make_path, zip(lower, upper, strict=True)))
    turned = 0 < peak < len(dots) - 1
    return Line(
        role=role,
        label=label,
        label_x=max((x for x, _ in places), default=0.0),
        label_y=places[-1][1] + 4 if places else 0.0,
        path=make_path(places),
        band=make_path([*upper, *reversed(lower)]) + "Z" if onward and len(places) > 1 else "",
        whiskers="" if onward else whiskers,
        dots=dots if has_dots else (),
        peak=dots[peak] if turned else None,
        fit="",
    )


def make_frame(
    distances: Sequence[float], estimates: Sequence[Estimate], with_zero: bool = True
) -> Frame:
    """Returns scales that hold all estimates with their intervals; the x axis begins at 0."""
    values = [value for e in estimates for value in (*e.ci95, e.mean)] + [0.0] * with_zero
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.5
    return Frame(0.0, max([*distances, 0.0]) or 1.0, low - margin, high + margin)


def place_labels(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Sets labels to the right of every point, and apart from each other within the panel."""
    x = max((line.label_x for line in lines), default=0.0) + _LABEL_GAP
    ordered = sorted(lines, key=lambda line: line.label_y)
    heights = [line.label_y for line in ordered]
    for i in range(1, len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + LABEL_PX)
    highest = HEIGHT - BOTTOM - 3
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], highest)
        highest = heights[i] - LABEL_PX
    placed = [
        replace(line, label_x=round(x, 1), label_y=round(y, 1))
        for line, y in zip(ordered, heights, strict=True)
    ]
    return tuple(sorted(placed, key=lambda line: line.role == "gold"))


def make_y_ticks(frame: Frame) -> tuple[Tick, ...]:
    """Returns ticks at round values of the y axis."""
    return tuple(
        Tick(frame.y(value), label) for value, label in round_ticks(frame.y_low, frame.y_high)
    )


def make_path(places: Sequence[tuple[float, float]]) -> str:
    """Returns a line through some places as SVG path data."""
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in places) if places else ""
