"""Loads the rows that `dataset=` asks for: finds the split, and a column for each field."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from textenv.datasets.base import SPLITS, Split, split_of
from textenv.datasets.columns import FieldMap, paths_of
from textenv.datasets.files import is_local_file, read_file, stream_file
from textenv.datasets.named import hint_of, offline_advice
from textenv.datasets.reading import Stream, Table, read_hub, stream_hub
from textenv.datasets.rows import RowReader, RowsDataset, check, make_rows_dataset
from textenv.datasets.spec import RowsSpec
from textenv.datasets.streaming import columns_of, keep_rows
from textenv.errors import DatasetError, UnknownNameError
from textenv.tasks.base import Task

# What others call our splits.
_SPLIT_ALIASES: Mapping[str, Split] = {
    "dev": "validation",
    "valid": "validation",
    "val": "validation",
}

_Source = TypeVar("_Source", Table, Stream)


def load_rows_dataset(
    spec: str | Path | Mapping[str, Any], task: Task, split: Split, seed: int = 0
) -> RowsDataset:
    """Loads one split of a local file, a folder or a Hugging Face data set; see `load_dataset`.

    A data set that comes in splits keeps them. A split that it lacks is taken from its training
    rows, and a single file is all training rows: a tenth of them, chosen by a hash of what the task
    reads, is "validation", another tenth "test". Equal rows thus share a split. The seed changes
    nothing: files have an order of their own.

    Every row of a small set is checked now; of more than 5,000, the first 1,000, and the others
    when they are reached.
    """
    source = RowsSpec.parse(spec)
    if source.streaming:
        return _load_stream(source, task, split)
    table, kept = _choose(source, _tables(source, task, read_file, read_hub), split)
    if len(table.rows) == 0:
        raise DatasetError(
            f"Dataset '{source.path}' has no rows in '{table.name}'. Is it the right one?"
        )
    reader = _match_columns(source, task, table.name, table.columns)
    dataset = make_rows_dataset(
        reader,
        table.narrowed(_wanted(source, reader)),
        kept,
        group=source.group,
        gather=source.gather,
        skip=source.skip,
    )
    if not len(dataset):
        raise DatasetError(
            f"Split '{split}' of dataset '{source.path}' is empty: none of its {len(table.rows)} "
            "rows falls into it. Rows go to train, validation and test as 8 : 1 : 1 by a hash "
            "of their text, so equal rows share a split; give more distinct rows or another split."
        )
    return dataset


def _load_stream(source: RowsSpec, task: Task, split: Split) -> RowsDataset:
    """Keeps the first rows of a split of a stream on disk."""
    stream, kept = _choose(source, _tables(source, task, stream_file, stream_hub), split)
    columns = columns_of(stream)
    if not columns:
        raise DatasetError(f"Dataset '{source.path}' has no rows in '{stream.name}'.")
    reader = _match_columns(source, task, stream.name, columns)

    seen = Table(stream.name, columns, ())

    def wanted(number: int, row: Mapping[str, Any]) -> bool:
        if source.skip == "missing" and not reader.is_complete(row):
            return False
        if source.skip == "unusable" and reader.refusal(seen, number - 1, row):
            return False
        return len(kept) == len(SPLITS) or split_of(reader.content(row, source.group)) in kept

    table = keep_rows(stream.narrowed(_wanted(source, reader)), wanted, source.rows)
    if len(table.rows) == 0:
        raise DatasetError(
            f"Split '{split}' of dataset '{source.path}' is empty: none of the rows of "
            f"'{stream.name}' falls into it. Give another split."
        )
    dataset = RowsDataset(reader, table, range(len(table.rows)))
    check(dataset)
    return dataset


def _tables(
    source: RowsSpec,
    task: Task,
    from_file: Callable[[Path], _Source],
    from_hub: Callable[..., Mapping[str, _Source]],
) -> Mapping[str, _Source]:
    """Reads or opens the source: its splits by their own names, a single file as "train"."""
    if is_local_file(source.path):
        for key in ("name", "revision", "split"):
            if getattr(source, key) is not None:
                raise DatasetError(f"The dataset key '{key}' has no meaning for a local file.")
        return {"train": from_file(Path(source.path).expanduser())}
    advice = offline_advice(source.path, task) + ("" if source.columns else hint_of(source.path))
    return from_hub(
        source.path,
        name=source.name,
        revision=source.revision,
        split=source.split,
        advice=advice,
    )


def _choose(
    source: RowsSpec, tables: Mapping[str, _Source], split: Split
) -> tuple[_Source, frozenset[Split]]:
    """Returns the table to read, and which hash splits of its rows make up `split`."""
    own = {_SPLIT_ALIASES.get(name.lower(), name.lower()): table for name, table in tables.items()}
    if len(own) == 1:
        own = {"train": next(iter(own.values()))}
    elif source.splits:
        for name in source.splits.values():
            if name not in tables:
                raise DatasetError(
                    f"Dataset '{source.path}' has no split '{name}', only {', '.join(tables)}. "
                    'Say which is which: {"path": ..., "splits": {"test": ...}}.'
                )
        own = {ours: tables[theirs] for ours, theirs in source.splits.items()}
    if "train" not in own and split not in own:
        raise DatasetError(
            f"None of the splits {', '.join(tables)} can serve as '{split}'. "
            'Name the one to read and to divide: {"path": ..., "split": ...}.'
        )
    if split == "train":
        return own["train"], frozenset(s for s in SPLITS if s == "train" or s in own)
    if split in own:
        return own[split], frozenset(SPLITS)
    return own["train"], frozenset([split])


def _match_columns(
    source: RowsSpec, task: Task, table: str, existing: Collection[str]
) -> RowReader:
    """Finds each field's column: the one that is named, else its own name, else an alias."""
    names = [wanted.name for wanted in task.fields]
    columns = dict(source.columns)
    id = columns.pop("id", "id")
    if not isinstance(id, str):
        raise DatasetError(f"The column of 'id' must be one column, not {id!r}.")
    for name in (*columns, *source.join, *source.fill):
        if name not in names:
            raise UnknownNameError(f"field of {type(task).__name__}", name, [*names, "id"])
    mapped = {path for column in columns.values() for path in paths_of(column)}
    keys = {path for path in (source.group, source.gather) if path is not None}
    for path in sorted({*mapped, *keys, *source.labels, *({id} - {"id"})}):
        if path not in existing and path.partition(".")[0] not in existing:
            raise UnknownNameError(f"column in '{table}'", path, existing)
    for wanted in task.fields:
        free = [c for c in (wanted.name, *wanted.aliases) if c not in mapped]
        found = next((column for column in free if column in existing), None)
        if found is not None:
            columns.setdefault(wanted.name, found)
        elif wanted.required and wanted.name not in {*columns, *source.fill}:
            raise DatasetError(
                f"Dataset '{source.path}' has no column for '{wanted.name}' (nor "
                f"{', '.join(wanted.aliases) or 'an alias'}); its columns are "
                f"{', '.join(existing)}. Name one: "
                f'{{"path": ..., "columns": {{"{wanted.name}": ...}}}}.{hint_of(source.path)}'
            )
    required = {wanted.name for wanted in task.fields if wanted.required}
    needed = frozenset(({*source.columns} - {"id"}) | required)
    return RowReader(task, FieldMap(columns, source.labels, source.join, source.fill), id, needed)


def _wanted(source: RowsSpec, reader: RowReader) -> set[str]:
    """Returns every column that is read."""
    keys = {key for key in (source.group, source.gather) if key is not None}
    return reader.fields.paths() | {reader.id} | keys
