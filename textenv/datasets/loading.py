"""Datasets made of rows: maps columns to a task's fields, and divides rows into splits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textenv.datasets.base import SPLITS, Split, split_of
from textenv.datasets.reading import Table, is_local_file, read_file, read_hub
from textenv.errors import DatasetError, UnknownNameError
from textenv.examples import Example
from textenv.tasks.base import Task

# What others call our splits.
_SPLIT_ALIASES: Mapping[str, Split] = {
    "dev": "validation",
    "valid": "validation",
    "val": "validation",
}


@dataclass(frozen=True)
class RowsSpec:
    """What `dataset=` asks for.

    Attributes:
        path: A local file or folder, or a Hugging Face id.
        columns: Field of the task -> column of the data; "a.b" is key b within column a.
        group: A column whose equal values stay in one split (one document's questions, say).
        name: The configuration of a hub data set.
        revision: Its branch, tag or commit.
        split: Its one split to read, which is then divided as a single file is.
    """

    path: str
    columns: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    name: str | None = None
    revision: str | None = None
    split: str | None = None

    @classmethod
    def parse(cls, spec: str | Path | Mapping[str, Any]) -> RowsSpec:
        """Checks a path, a Hugging Face id, or a mapping of the attributes.

        Raises:
            UnknownNameError: The mapping has an unknown key.
            DatasetError: The path is missing, or a value has the wrong type.
        """
        if not isinstance(spec, Mapping):
            return cls(str(spec))
        for key, value in spec.items():
            if key not in cls.__dataclass_fields__:
                raise UnknownNameError("dataset key", key, cls.__dataclass_fields__)
            if key == "columns":
                valid = isinstance(value, Mapping) and all(
                    isinstance(part, str) for pair in value.items() for part in pair
                )
                wanted = "a mapping from the task's fields to columns"
            else:
                valid = isinstance(value, str | Path) or (value is None and key != "path")
                wanted = "a string"
            if not valid:
                raise DatasetError(f"The dataset's '{key}' must be {wanted}, not {value!r}.")
        if "path" not in spec:
            raise DatasetError("The dataset mapping lacks 'path': a file or a Hugging Face id.")
        return cls(**{**spec, "path": str(spec["path"])})


@dataclass(frozen=True)
class RowsDataset:
    """One split of a table; rows become examples when they are asked for.

    Attributes:
        task: Builds the examples.
        columns: Field of the task -> column.
        table: Where the rows lie.
        indices: Which of them belong to this split.
    """

    task: Task
    columns: Mapping[str, str]
    table: Table
    indices: Sequence[int]

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        """The example at `index`."""
        row = self.indices[index]
        return _make_example(self.task, self.columns, self.table, row, self.table.rows[row])


def load_rows_dataset(
    spec: str | Path | Mapping[str, Any], task: Task, split: Split, seed: int = 0
) -> RowsDataset:
    """Loads one split of a local file, a folder or a Hugging Face data set.

    A data set that comes in splits keeps them. A split that it lacks is taken from its training
    rows, and a single file is all training rows: a tenth of them, chosen by a hash of what the
    task reads, is "validation", another tenth "test". Equal rows thus share a split.

    Args:
        spec: A path, a Hugging Face id, or a mapping with the attributes of `RowsSpec`.
        task: Its fields say which columns are needed; every row is checked against it.
        split: "train", "validation" or "test".
        seed: Changes nothing here: files have an order of their own.

    Raises:
        UnknownNameError: An unknown key, field or column is named.
        DatasetError: The data cannot be read, lacks a column, or has a row without a value.
    """
    source = RowsSpec.parse(spec)
    if is_local_file(source.path):
        for key in ("name", "revision", "split"):
            if getattr(source, key) is not None:
                raise DatasetError(f"The dataset key '{key}' has no meaning for a local file.")
        tables = {"train": read_file(Path(source.path).expanduser())}
    else:
        read = read_hub(source.path, name=source.name, revision=source.revision, split=source.split)
        tables = {"train": next(iter(read.values()))} if source.split else read
    table, kept = _choose_table(tables, split)
    if len(table.rows) == 0:
        raise DatasetError(
            f"Dataset '{source.path}' has no rows in '{table.name}'. Is it the right one?"
        )
    columns = _match_columns(source, task, table)
    wanted = {*columns.values(), source.group, "id"}
    table = table.narrowed({column for column in wanted if column is not None})
    indices = _check_and_divide(source, task, columns, table, kept)
    if not indices:
        raise DatasetError(
            f"Split '{split}' of dataset '{source.path}' is empty: none of its {len(table.rows)} "
            "rows falls into it. Rows go to train, validation and test as 8 : 1 : 1 by a hash "
            "of their text, so equal rows share a split; give more distinct rows or another split."
        )
    return RowsDataset(task, columns, table, indices)


def _choose_table(tables: Mapping[str, Table], split: Split) -> tuple[Table, frozenset[Split]]:
    """Returns the table to read, and which hash splits of its rows make up `split`."""
    own = {_SPLIT_ALIASES.get(name.lower(), name.lower()): table for name, table in tables.items()}
    if len(own) == 1:
        own = {"train": next(iter(own.values()))}
    elif "train" not in own and split not in own:
        raise DatasetError(
            f"None of the splits {', '.join(tables)} can serve as '{split}'. "
            'Name the one to read and to divide: {"path": ..., "split": ...}.'
        )
    if split == "train":
        return own["train"], frozenset(s for s in SPLITS if s == "train" or s in own)
    if split in own:
        return own[split], frozenset(SPLITS)
    return own["train"], frozenset([split])


def _match_columns(source: RowsSpec, task: Task, table: Table) -> dict[str, str]:
    """Finds each field's column: the one that is named, else its own name, else an alias."""
    names = [wanted.name for wanted in task.fields]
    for name, column in source.columns.items():
        if name not in names:
            raise UnknownNameError(f"field of {type(task).__name__}", name, names)
        _check_column(column, table)
    if source.group is not None:
        _check_column(source.group, table)
    columns = dict(source.columns)
    for wanted in task.fields:
        free = [c for c in (wanted.name, *wanted.aliases) if c not in source.columns.values()]
        found = next((column for column in free if column in table.columns), None)
        if found is not None:
            columns.setdefault(wanted.name, found)
        elif wanted.required and wanted.name not in columns:
            raise DatasetError(
                f"Dataset '{source.path}' has no column for '{wanted.name}' (nor "
                f"{', '.join(wanted.aliases) or 'an alias'}); its columns are "
                f"{', '.join(table.columns)}. Name one: "
                f'{{"path": ..., "columns": {{"{wanted.name}": ...}}}}.'
            )
    return columns


def _check_column(column: str, table: Table) -> None:
    if column not in table.columns and column.partition(".")[0] not in table.columns:
        raise UnknownNameError(f"column in '{table.name}'", column, table.columns)


def _check_and_divide(
    source: RowsSpec,
    task: Task,
    columns: Mapping[str, str],
    table: Table,
    kept: frozenset[Split],
) -> list[int]:
    """Builds every row's example once, so that a bad row is found now; returns the kept rows."""
    indices = []
    for index, row in enumerate(table.rows):
        _make_example(task, columns, table, index, row)
        if len(kept) < len(SPLITS):
            if source.group is not None:
                content = _value(row, source.group)
            else:
                content = _fields(columns, row)
            text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
            if split_of(text) not in kept:
                continue
        indices.append(index)
    return indices


def _make_example(
    task: Task, columns: Mapping[str, str], table: Table, index: int, row: Mapping[str, Any]
) -> Example:
    number = index + 1
    id = row.get("id")
    id = f"{table.name}/{number}" if _is_missing(id) else str(id)
    values = _fields(columns, row)
    where = f"{table.name}, row {number} (id '{id}')"
    for wanted in task.fields:
        if wanted.required and wanted.name not in values:
            raise DatasetError(
                f"{where}: column '{columns[wanted.name]}' has no value for '{wanted.name}'. "
                "Fill it in, or leave the row out."
            )
    try:
        return task.example(id, values)
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from error


def _fields(columns: Mapping[str, str], row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: _value(row, column) for name, column in columns.items()}
    return {name: value for name, value in values.items() if not _is_missing(value)}


def _value(row: Mapping[str, Any], column: str) -> Any:
    if column in row:
        return row[column]
    outer, _, inner = column.partition(".")
    value = row.get(outer)
    return value.get(inner) if isinstance(value, Mapping) else None


def _is_missing(value: object) -> bool:
    """True for no value, NaN, blank text, and lists of nothing else."""
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, list):
        return all(_is_missing(item) for item in value)
    return value is None or (isinstance(value, float) and value != value)
