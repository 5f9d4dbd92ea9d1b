"""Texts with what people said of them: ratings, or which of two texts they preferred."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenv.errors import ConfigError, did_you_mean
from textenv.examples import Episode
from textenv.rewards.score import make_episodes

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FIELDS = ("prompt", "response", "references", "id", "metadata")
_PREFERRED = ("chosen", "rejected")


@dataclass(frozen=True)
class Layout:
    """Which texts belong together."""

    items: IntArray  # (n,) the item of each text, 0 to n_items - 1
    n_items: int
    systems: IntArray | None  # (n,) the system that wrote it; None where that is not known
    system_names: tuple[str, ...] = ()

    def groups(self) -> list[IntArray]:
        """Returns the places of each item's texts."""
        order = np.argsort(self.items, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.items, minlength=self.n_items))[:-1])


@dataclass(frozen=True)
class Ratings:
    """Texts that people rated each for itself."""

    episodes: tuple[Episode, ...]  # one a text
    layout: Layout
    # By name, (n, annotators): the higher the better; NaN where an annotator gave none.
    human: Mapping[str, FloatArray]
    left_out: int = 0  # rows without a rating


@dataclass(frozen=True)
class Preferences:
    """Pairs of texts of which people preferred one."""

    episodes: tuple[Episode, ...]  # twice as many as pairs: the first texts, then the second ones
    items: IntArray  # (pairs,) the item of each pair
    preferred: FloatArray  # (pairs,) 1 for the first text, -1 for the second, 0 for neither
    systems: IntArray | None  # (pairs, 2) who wrote them; None where that is not known
    system_names: tuple[str, ...] = ()
    left_out: int = 0


def make_ratings(
    rows: Sequence[Mapping[str, Any]],
    human: Sequence[str],
    item: str | None = None,
    system: str | None = None,
) -> Ratings:
    """Makes ratings of rows with `response`, `references`, `prompt` and columns of numbers.

    Args:
        rows: One a text. Further columns are metadata, for rewards that read them.
        human: Columns with ratings, each judged for itself. "a,b,c" are the annotators of one
            rating, which is then their mean; so is a column with lists of numbers.
        item: Column that is equal for texts that answer the same; by default "item", or else the
            prompt, or else the references.
        system: Column with the writer of a text; by default "system", if there is one.

    Raises:
        ConfigError: A column is missing or holds no numbers, or a row is no rated text.
    """
    if not human:
        raise ConfigError("Name the columns with people's ratings: --human COLUMN.")
    columns = _columns(rows)
    for name in [part for spec in human for part in _annotators(spec)]:
        _check_column(name, columns, "rating")
    ratings = {spec: _numbers(rows, spec) for spec in human}
    is_rated = np.any([~np.isnan(table).all(axis=1) for table in ratings.values()], axis=0)
    kept = [row for row, is_kept in zip(rows, is_rated, strict=True) if is_kept]
    if len(kept) < 2:
        raise ConfigError(f"Only {len(kept)} of {len(rows)} rows have a rating; two are needed.")
    return Ratings(
        tuple(_episodes(kept, "response", columns)),
        _make_layout(kept, columns, item, system),
        {spec: table[is_rated] for spec, table in ratings.items()},
        len(rows) - len(kept),
    )


def make_preferences(
    rows: Sequence[Mapping[str, Any]], human: str | None = None, item: str | None = None
) -> Preferences:
    """Makes preferences of rows with two texts.

    Either `chosen` and `rejected`, or `response_a` and `response_b` with a column that says "a",
    "b" or "tie".

    Raises:
        ConfigError: A column is missing, or a row says something else.
    """
    columns = _columns(rows)
    if human is None:
        names, writers = _PREFERRED, ("chosen_system", "rejected_system")
        said = np.ones(len(rows))
    else:
        names, writers = ("response_a", "response_b"), ("system_a", "system_b")
        _check_column(human, columns, "preference")
        said = np.array([_preference(row.get(human), human, i) for i, row in enumerate(rows)])
    kept = np.flatnonzero(~np.isnan(said)).tolist()
    chosen = [rows[i] for i in kept]
    if not chosen:
        raise ConfigError("No row says which text was preferred.")
    episodes = [episode for name in names for episode in _episodes(chosen, name, columns)]
    items, _, _ = _numbered([row.get(_item_column(columns, item)) for row in chosen])
    systems: IntArray | None = None
    system_names: tuple[str, ...] = ()
    if all(writer in columns for writer in writers):
        flat, _, system_names = _numbered([row.get(w) for row in chosen for w in writers])
        systems = flat.reshape(-1, 2)
    left_out = len(rows) - len(chosen)
    return Preferences(tuple(episodes), items, said[kept], systems, system_names, left_out)


def hold_preferences(rows: Sequence[Mapping[str, Any]], human: Sequence[str]) -> bool:
    """Tells whether rows have two texts each, of which one is preferred."""
    columns = _columns(rows)
    names = ("response_a", "response_b") if human else _PREFERRED
    return len(human) <= 1 and all(name in columns for name in names)


def _annotators(spec: str) -> list[str]:
    return [part.strip() for part in spec.split(",") if part.strip()]


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, None]:
    return dict.fromkeys(name for row in rows for name in row)


def _check_column(name: str, columns: Mapping[str, None], what: str) -> None:
    if name not in columns:
        others = ", ".join(column for column in columns if column not in _FIELDS)
        raise ConfigError(
            f"There is no column '{name}' with a {what}.{did_you_mean(name, columns)} "
            f"There are: {others or 'none'}."
        )


def _numbers(rows: Sequence[Mapping[str, Any]], spec: str) -> FloatArray:
    """Returns a rating's annotators (n, annotators)."""
    names = _annotators(spec)
    lines = [
        [number for name in names for number in _read_numbers(row.get(name), name, i)]
        for i, row in enumerate(rows)
    ]
    width = max(map(len, lines))
    table = np.full((len(rows), max(width, 1)), np.nan)
    for place, line in enumerate(lines):
        table[place, : len(line)] = line
    return table


def _read_numbers(value: Any, name: str, row: int) -> list[float]:
    if value is None or value == "":
        return [math.nan]
    if isinstance(value, list | tuple):
        return [number for part in value for number in _read_numbers(part, name, row)]
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"Row {row + 1} has {value!r} as '{name}'; a rating is a number (higher is better), a "
            "list of numbers, or empty."
        ) from error
    if math.isinf(number):
        raise ConfigError(f"Row {row + 1} has {value!r} as '{name}'; a rating is finite.")
    return [number]


def _preference(value: Any, name: str, row: int) -> float:
    meaning = {"a": 1.0, "b": -1.0, "tie": 0.0, "": math.nan, "none": math.nan}
    word = str(value).strip().lower()
    if word not in meaning:
        raise ConfigError(
            f"Row {row + 1} has {value!r} as '{name}'; write a, b or tie: which of 'response_a' "
            "and 'response_b' is better."
        )
    return meaning[word]


def _episodes(
    rows: Sequence[Mapping[str, Any]], response: str, columns: Mapping[str, None]
) -> list[Episode]:
    if response not in columns:
        raise ConfigError(f"The rows have no '{response}'.{did_you_mean(response, columns)}")
    others = {*_FIELDS, *_PREFERRED, "response_a", "response_b", "system_a", "system_b"}
    return make_episodes(
        [_text(row.get(response), last=True) for row in rows],
        [row.get("references") or () for row in rows],
        [_text(row.get("prompt", "")) for row in rows],
        [
            {name: value for name, value in row.items() if name not in others}
            | dict(row.get("metadata") or {})
            for row in rows
        ],
        [str(row.get("id", f"row {i + 1}")) for i, row in enumerate(rows)],
    )


def _text(value: Any, *, last: bool = False) -> Any:
    """Returns a text; of messages, as preferences may have them, all contents or the last."""
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        contents = [str(part.get("content", "")) for part in value]
        return contents[-1] if last else "\n".join(contents)
    return value


def _make_layout(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, None],
    item: str | None,
    system: str | None,
) -> Layout:
    if system is not None:
        _check_column(system, columns, "name")
    column = _item_column(columns, item)
    if system is None and "system" in columns:
        system = "system"
    items, n_items, _ = _numbered([row.get(column) for row in rows])
    if system is None:
        return Layout(items, n_items, None)
    systems, _, names = _numbered([row.get(system) for row in rows])
    return Layout(items, n_items, systems, names)


def _item_column(columns: Mapping[str, None], item: str | None) -> str:
    if item is not None:
        _check_column(item, columns, "name")
        return item
    found = (name for name in ("item", "prompt", "references") if name in columns)
    return next(found, "response")


def _numbered(values: Sequence[Any]) -> tuple[IntArray, int, tuple[str, ...]]:
    """Numbers equal values alike, in the order in which they come."""
    numbers: dict[str, int] = {}
    places = [numbers.setdefault(str(value), len(numbers)) for value in values]
    return np.array(places, np.int64), len(numbers), tuple(numbers)
