"""Maps a row's columns to a task's fields: paths, records, labels, joined lists, fallbacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from textenv.errors import DatasetError

# Where a field's value stands: a column, or a path into one ("pair.en"); or, for a list of
# records, the path of each of their keys, or the values that a key takes in turn.
Column = str | Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class FieldMap:
    """Reads the fields of a task from a row; nothing but what is declared here is done to it."""

    # Field -> column, path or records. A path goes through mappings by key, and through lists item
    # by item: "answers.text" is the list of the answers' texts. Records zip lists: `{"speaker":
    # ["user", "assistant"], "text": "dialog"}` makes one record of each text in "dialog", with the
    # speakers in turn; a record without a value is left out
    columns: Mapping[str, Column]
    # Column or path -> the names of the whole numbers that stand in it, from 0 up
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # Field -> what to put between the texts of a list, to make them one text
    join: Mapping[str, str] = field(default_factory=dict)
    # Field -> the text that rows without a value get
    fill: Mapping[str, str] = field(default_factory=dict)

    def values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the value of every field that has one; records need lists of equal lengths."""
        values = {name: self._value(name, column, row) for name, column in self.columns.items()}
        values = {name: value for name, value in values.items() if not is_missing(value)}
        return {**self.fill, **values}

    def has_all(self, row: Mapping[str, Any], names: Collection[str]) -> bool:
        """True if a row has a value in each of some fields."""
        return set(names) <= self.values(row).keys()

    def paths(self) -> set[str]:
        """Returns every column and path that is read."""
        return {path for column in self.columns.values() for path in paths_of(column)}

    def _value(self, name: str, column: Column, row: Mapping[str, Any]) -> Any:
        if isinstance(column, str):
            value = self._labelled(column, row)
        else:
            value = self._records(name, column, row)
        if name in self.join and isinstance(value, list):
            texts = (item.strip() for item in value if isinstance(item, str))
            return self.join[name].join(filter(None, texts))
        return value

    def _labelled(self, path: str, row: Mapping[str, Any]) -> Any:
        value = value_at(row, path)
        return _named(value, self.labels[path]) if path in self.labels else value

    def _records(
        self, name: str, parts: Mapping[str, str | Sequence[str]], row: Mapping[str, Any]
    ) -> list[dict[str, Any]] | None:
        lists = {
            key: self._labelled(part, row) for key, part in parts.items() if isinstance(part, str)
        }
        if any(is_missing(value) for value in lists.values()):
            return None
        if not all(isinstance(value, list) for value in lists.values()):
            raise DatasetError(f"the parts of '{name}' must be lists, one item a record.")
        if len({len(value) for value in lists.values()}) > 1:
            lengths = ", ".join(f"{len(value)} of '{parts[key]}'" for key, value in lists.items())
            raise DatasetError(f"the parts of '{name}' must be equally long, not {lengths}.")
        columns = [lists[key] if key in lists else cycle(part) for key, part in parts.items()]
        records = (dict(zip(parts, items, strict=True)) for items in zip(*columns, strict=False))
        return [record for record in records if not any(map(is_missing, record.values()))]


def paths_of(column: Column) -> Iterator[str]:
    """Yields the columns and paths that a field is read from."""
    parts = (column,) if isinstance(column, str) else column.values()
    yield from (part for part in parts if isinstance(part, str))


def value_at(row: Mapping[str, Any], path: str) -> Any:
    """Returns what stands in a column, or at a path into one; None if nothing does."""
    if path in row:
        return row[path]
    value: Any = row
    for key in path.split("."):
        value = _step(value, key)
    return value


def is_missing(value: object) -> bool:
    """True for no value, NaN, blank text, and lists of nothing else."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, list):
        return all(is_missing(item) for item in value)
    return value is None or (isinstance(value, float) and value != value)


def merge(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merges the fields of several rows: one that differs becomes the list of all its values.

    Values that are lists are joined; a value that comes again is kept once, in the first place.
    """
    merged = dict(rows[0])
    for name in dict.fromkeys(name for row in rows for name in row):
        given = [row[name] for row in rows if name in row]
        if all(value == given[0] for value in given):
            merged[name] = given[0]
            continue
        several: list[Any] = []
        for value in given:
            items = value if isinstance(value, list) else [value]
            several += [item for item in items if item not in several]
        merged[name] = several
    return merged


def _step(value: Any, key: str) -> Any:
    if isinstance(value, list):
        return [_step(item, key) for item in value]
    return value.get(key) if isinstance(value, Mapping) else None


def _named(value: Any, names: Sequence[str]) -> Any:
    """Replaces whole numbers by their names; -1 and the like stand for no label."""
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return names[value] if 0 <= value < len(names) else None
    return value
