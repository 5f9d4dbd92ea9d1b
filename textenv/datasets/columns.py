"""Maps a row's columns to a task's fields: paths, records, labels, joined lists, fallbacks."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from textenv.datasets.formats.cells import list_in_cell
from textenv.errors import DatasetError
from textenv.tasks.rows import is_blank, written

# Where a field's value stands: a column, or a path into one ("pair.en"); several columns, whose
# values make a list; or, for a list of records, the path of each of their keys, or the values that
# a key takes in turn.
Column = str | Sequence[str] | Mapping[str, str | Sequence[str]]

# The names of a column's values: of 0, 1, ..., or of each value as it is written.
Labels = Sequence[str] | Mapping[Any, str]


@dataclass(frozen=True)
class FieldMap:
    """Reads the fields of a task from a row; nothing but what is declared here is done to it."""

    # Field -> column, path, columns or records. A path goes through mappings by key, and through
    # lists item by item: "answers.text" is the list of the answers' texts. Records zip lists:
    # `{"speaker": ["user", "assistant"], "text": "dialog"}` makes one record of each text in
    # "dialog", with the speakers in turn; a record without a value is left out
    columns: Mapping[str, Column]
    # Column or path -> the names of its values, by their texts
    labels: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    # Field -> what to put between the texts of a list, to make them one text
    join: Mapping[str, str] = field(default_factory=dict)
    # Field -> the text that rows without a value get
    fill: Mapping[str, str] = field(default_factory=dict)
    # Fields whose values are lists when a cell of a table of text spells one
    lists: frozenset[str] = frozenset()
    # Fields in whose lists places count, such as lettered choices
    ordered: frozenset[str] = frozenset()

    def values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the value of every field that has one; records need lists of equal lengths."""
        values = {}
        for name, column in self.columns.items():
            value = self._value(name, column, row)
            if not is_missing(value):
                values[name] = value
        return {**self.fill, **values} if self.fill else values

    def paths(self) -> set[str]:
        """Returns every column and path that is read."""
        return {path for column in self.columns.values() for path in paths_of(column)}

    def _value(self, name: str, column: Column, row: Mapping[str, Any]) -> Any:
        if isinstance(column, str):
            value = self._labelled(column, row)
        elif isinstance(column, Mapping):
            value = self._records(name, column, row)
        else:
            value = self._listed(name, column, row)
        if name in self.lists and isinstance(value, str):
            value = list_in_cell(name, value)
        if name in self.join and isinstance(value, list):
            said = (item for item in value if not is_missing(item))
            texts = [written(f"the list of '{name}' holds an item", item).strip() for item in said]
            return self.join[name].join(texts)
        return value

    def _listed(self, name: str, columns: Sequence[str], row: Mapping[str, Any]) -> list[Any]:
        """Returns the values of several columns, without those that are missing."""
        parts = [self._labelled(path, row) for path in columns]
        missing = [is_missing(part) for part in parts]
        if name in self.ordered and missing != sorted(missing):
            raise DatasetError(
                f"column '{columns[missing.index(True)]}' has no value for '{name}', but one after "
                "it has: which is which cannot be known."
            )
        listed = [part if isinstance(part, list) else [part] for part in parts]
        return [item for part in listed for item in part if not is_missing(item)]

    def _labelled(self, path: str, row: Mapping[str, Any]) -> Any:
        value = value_at(row, path)
        return _named(path, value, self.labels[path]) if path in self.labels else value

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
    if isinstance(column, str):
        yield column
    else:
        parts = column.values() if isinstance(column, Mapping) else column
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
    return all(map(is_missing, value)) if isinstance(value, list) else is_blank(value)


def merge(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merges the fields of several rows: one that differs becomes the list of all its values.

    Texts that look the same do not differ. Values that are lists are joined; a value that comes
    again is kept once, in the first place.
    """
    merged = dict(rows[0])
    for name in dict.fromkeys(name for row in rows for name in row):
        given = [row[name] for row in rows if name in row]
        if all(plain(value) == plain(given[0]) for value in given):
            merged[name] = given[0]
            continue
        several: list[Any] = []
        for value in given:
            items = value if isinstance(value, list) else [value]
            several += [item for item in items if item not in several]
        merged[name] = several
    return merged


def plain(value: Any) -> Any:
    """Returns a text without spaces around it, in one form of its characters; else the value."""
    return unicodedata.normalize("NFC", value.strip()) if isinstance(value, str) else value


def _step(value: Any, key: str) -> Any:
    if isinstance(value, list):
        return [_step(item, key) for item in value]
    return value.get(key) if isinstance(value, Mapping) else None


def names_by_value(path: str, labels: Labels) -> dict[str, str | None]:
    """Returns the name of each value of a labelled column, by the text of the value.

    -1, as the hub writes it, stands for no label.

    Raises:
        DatasetError: A value has two names.
    """
    if isinstance(labels, Mapping):
        return _unambiguous(path, [(_key(value), name) for value, name in labels.items()])
    named: list[tuple[str, str | None]] = [(_key(name), name) for name in labels]
    if len(labels) == 2:
        named += zip(("false", "true"), labels, strict=True)
    numbered = [(str(number), name) for number, name in enumerate(labels)]
    return _unambiguous(path, [*named, *numbered, ("-1", None)])


def _unambiguous(path: str, named: Sequence[tuple[str, str | None]]) -> dict[str, str | None]:
    names: dict[str, str | None] = {}
    for value, name in named:
        if names.setdefault(value, name) != name:
            raise DatasetError(
                f"The 'labels' of '{path}' give the value {value} two names: '{names[value]}' and "
                f"{'none' if name is None else repr(name)}. A list names 0, 1, ... (two names: "
                "false and true, too), and a value that is a name keeps it; 1, 1.0 and their texts "
                f'are one value. Give a mapping: {{"labels": {{"{path}": {{"{value}": ...}}}}}}.'
            )
    return names


def _named(path: str, value: Any, names: Mapping[str, str | None]) -> Any:
    if isinstance(value, list):
        return [_named(path, item, names) for item in value]
    key = _key(value)
    if key in names:
        return names[key]
    if is_missing(value):
        return None
    raise DatasetError(
        f"column '{path}' has the value {value!r}, which 'labels' does not name: it names "
        f"{', '.join(names)}. Name every value: "
        f'{{"labels": {{"{path}": {{"{key}": ...}}}}}}.'
    )


def _key(value: object) -> str:
    """Writes a label as one text, whatever it is: 1, 1.0, "1" and "1.0" alike, true and "True"."""
    text = str(value).strip()
    whole, _, decimals = text.partition(".")
    if decimals and not decimals.strip("0") and whole.lstrip("-").isdecimal():
        return whole
    return text.lower() if text.lower() in ("true", "false") else text
