"""Sortable tables of a page, as rows of ready text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from textenv.benchmark.statistics import Estimate
from textenv.report.intervals import Axis, Bar
from textenv.report.numbers import format_interval, format_number

T = TypeVar("T")
Align = Literal["words", "number", "plot"]


@dataclass(frozen=True)
class Value:
    """One cell."""

    text: str  # what is read first
    small: str = ""  # what is read after it: an interval, a remark
    # What the column is sorted by: a number, else the text; None comes last.
    sort: float | str | None = None
    mark: str = ""  # the name of a symbol and colour, such as "hacked"; empty for none
    detail: str = ""  # long text, shown on demand
    bars: tuple[Bar, ...] = ()  # intervals to draw on the column's axis


@dataclass(frozen=True)
class Column:
    """A column's heading, and the axis of its plots if it has any."""

    title: str
    align: Align = "number"
    axis: Axis | None = None


@dataclass(frozen=True)
class Table:
    """A table: the first column names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    muted: frozenset[int] = frozenset()


def make_table(
    caption: str, items: Sequence[T], *columns: tuple[Column, Callable[[T], Value]]
) -> Table:
    """Makes a row of each item: what every column's function returns for it."""
    rows = tuple(tuple(make(item) for _, make in columns) for item in items)
    return Table(caption, tuple(column for column, _ in columns), rows)


def place_bars(axis: Axis, **estimates: Estimate | None) -> tuple[Bar, ...]:
    """Draws estimates on an axis, each with its mark: "own", "gold" or "gap"."""
    return tuple(axis.place(e, mark) for mark, e in estimates.items() if e is not None)


def words_column(title: str) -> Column:
    """Returns a column of words."""
    return Column(title, "words")


def show_text(text: str) -> Value:
    """Shows a word."""
    return Value(text, sort=text)


def show_number(number: float | None) -> Value:
    """Shows a number without an interval."""
    return Value(format_number(number), sort=number)


def show_gain(estimate: Estimate | None) -> Value:
    """Shows a signed number with its interval."""
    return replace(show_estimate(estimate), text=format_signed(estimate))


def show_estimate(estimate: Estimate | None) -> Value:
    """Shows a number with its interval."""
    mean = estimate.mean if estimate else None
    return Value(format_number(mean), format_interval(estimate), mean)


def format_signed(estimate: Estimate | None) -> str:
    """Writes the mean of an estimate with its sign."""
    return format_number(estimate.mean if estimate else None, signed=True)
