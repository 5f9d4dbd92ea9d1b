"""The rows of a table as a dataset: which of them belong to a split, and their examples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.base import SPLITS, Split, split_of
from textenv.datasets.columns import FieldMap, is_missing, merge, value_at
from textenv.datasets.complete_rows import complete_rows
from textenv.datasets.reading import Row, Table
from textenv.datasets.spec import Skip
from textenv.errors import DatasetError
from textenv.examples import Example
from textenv.tasks.base import Task

# Every row of a small set is checked when it is loaded; of a larger one, so many.
_SMALL, _CHECKED = 5000, 1000

# One encoder for all rows: json.dumps would make one for each.
_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode


@dataclass(frozen=True)
class RowReader:
    """Turns rows of a table into examples of a task."""

    task: Task
    fields: FieldMap
    id: str  # the column that names an example
    needed: frozenset[str]  # fields without which a row can be left out, where that is asked for

    def example(self, table: Table, rows: Sequence[int]) -> Example:
        """Builds the example of a row, or of several gathered ones; errors name the row."""
        return self.example_of(table, [(row, table.rows[row]) for row in rows])

    def example_of(self, table: Table, rows: Sequence[tuple[int, Row]]) -> Example:
        """Builds the example of rows that were read, each with its index."""
        number = table.number(rows[0][0])
        id = value_at(rows[0][1], self.id)
        id = f"{table.name}/{number}" if is_missing(id) else str(id)
        where = f"{table.name}, row {number} (id '{id}')"
        try:
            values = merge([self.fields.values(row) for _, row in rows])
            for wanted in self.task.fields:
                if wanted.required and wanted.name not in values:
                    column = self.fields.columns.get(wanted.name)
                    raise DatasetError(
                        f"column '{column}' has no value for '{wanted.name}'. Fill it in, or "
                        'leave the row out, as {"path": ..., "skip": "missing"} does.'
                    )
            return self.task.example(id, values)
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from error

    def is_complete(self, row: Row) -> bool:
        """True if a row has a value in every needed field."""
        return self.fields.has_all(row, self.needed)

    def refusal(self, table: Table, index: int, row: Row) -> DatasetError | None:
        """Returns why the task cannot use a row, or None if it can."""
        try:
            self.example_of(table, [(index, row)])
        except DatasetError as error:
            return error
        return None

    def content(self, row: Row, group: str | None) -> str:
        """Returns what decides a row's split: its group, else all that the task reads."""
        value = self.fields.values(row) if group is None else value_at(row, group)
        return _encode(value)


@dataclass(frozen=True)
class RowsDataset:
    """One split of a table; rows become examples when they are asked for."""

    reader: RowReader
    table: Table
    indices: Sequence[int]  # of the rows of this split; gathered rows are neighbours
    # Positions in `indices` at which each example's rows start, and, last, their number; None if
    # every row is an example.
    starts: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.indices) if self.starts is None else len(self.starts) - 1

    def __getitem__(self, index: int) -> Example:
        """The example at `index`; a DatasetError names a row that cannot be used."""
        if self.starts is None:
            return self.reader.example(self.table, (int(self.indices[index]),))
        if not 0 <= index < len(self):
            raise IndexError(f"There is no example {index}: there are {len(self)}.")
        members = self.indices[self.starts[index] : self.starts[index + 1]]
        return self.reader.example(self.table, [int(row) for row in members])


def make_rows_dataset(
    reader: RowReader,
    table: Table,
    kept: frozenset[Split],
    *,
    group: str | None,
    gather: str | None,
    skip: Skip | None,
) -> RowsDataset:
    """Finds the rows of a split, and checks them: all if they are few, else the first.

    `kept` names the hash splits whose rows make up the split; the keywords are as in `RowsSpec`.
    """
    rows: Any = np.arange(len(table.rows))
    starts: Any = None
    if skip == "missing":
        rows = np.flatnonzero(complete_rows(table, reader.fields, reader.needed))
    elif skip == "unusable":
        rows = _usable(reader, table)
    if len(kept) < len(SPLITS):
        key = group or gather
        inside = _hash_splits(reader, table, key, kept)
        rows = rows[inside[rows]]
    if gather is not None:
        rows, starts = _gathered(table, gather, rows)
    dataset = RowsDataset(reader, table, rows, starts)
    check(dataset)
    return dataset


def check(dataset: RowsDataset) -> None:
    """Builds all examples of a small dataset, the first of a large one; raises as they do."""
    number = len(dataset) if len(dataset.table.rows) <= _SMALL else min(len(dataset), _CHECKED)
    for index in range(number):
        dataset[index]


def _usable(reader: RowReader, table: Table) -> Any:
    refusals = [reader.refusal(table, *indexed) for indexed in enumerate(table.scan())]
    usable = [index for index, refusal in enumerate(refusals) if refusal is None]
    if refusals and not usable:
        raise DatasetError(f"Not one of the {len(refusals)} rows can be used. {refusals[0]}")
    return np.asarray(usable, np.int64)


def _hash_splits(
    reader: RowReader, table: Table, key: str | None, kept: frozenset[Split]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    paths = reader.fields.paths() if key is None else {key}
    scanned = table.narrowed(paths).scan()
    inside = (split_of(reader.content(row, key)) in kept for row in scanned)
    return np.fromiter(inside, np.bool_, len(table.rows))


def _gathered(
    table: Table, column: str, rows: Any
) -> tuple[Any, np.ndarray[Any, np.dtype[np.int64]]]:
    """Sorts rows by the first appearance of their value in a column; returns also the starts."""
    numbers: dict[str, int] = {}
    keys = (_encode(value_at(row, column)) for row in table.narrowed({column}).scan())
    groups = np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), np.int64)
    order = rows[np.argsort(groups[rows], kind="stable")]
    sorted_groups = groups[order]
    starts = np.flatnonzero(np.diff(sorted_groups, prepend=-1))
    return order, np.append(starts, len(order))
