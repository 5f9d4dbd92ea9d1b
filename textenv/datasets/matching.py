"""Finds a column for each field of a task."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from textenv.datasets.columns import FieldMap, names_by_value, paths_of
from textenv.datasets.named import hint_of
from textenv.datasets.spec import RowsSpec
from textenv.errors import DatasetError, UnknownNameError, did_you_mean
from textenv.tasks.base import Task


@dataclass(frozen=True)
class Matched:
    """What is read of each row."""

    fields: FieldMap
    id: str  # the column that names an example
    needed: frozenset[str]  # fields without which a row can be left out, where that is asked for
    wanted: frozenset[str]  # every column that is read


def match_columns(
    source: RowsSpec, task: Task, table: str, existing: Collection[str], *, cells: bool = False
) -> Matched:
    """Finds each field's column: the one that is named, else its own name, else an alias.

    A name that differs in capitals alone is taken last. `cells`: whether all values are texts.

    Raises:
        UnknownNameError: A field or a column that is named does not exist.
        DatasetError: A field that is required has no column, or two that differ in capitals.
    """
    names = [wanted.name for wanted in task.fields]
    columns = dict(source.columns)
    id = columns.pop("id", None) or _find(["id"], existing) or "id"
    if not isinstance(id, str):
        raise DatasetError(f"The column of 'id' must be one column, not {id!r}.")
    for name in (*columns, *source.join, *source.fill):
        if name not in names:
            listed = f"The fields of {type(task).__name__} are {', '.join([*names, 'id'])}."
            near = did_you_mean(name, [*names, "id"]).partition(" Known:")[0].lstrip()
            raise UnknownNameError("field", name, names, f"{listed} {near}".rstrip())
    mapped = {path for column in columns.values() for path in paths_of(column)}
    keys = {path for path in (source.group, source.gather) if path is not None}
    for path in sorted({*mapped, *keys, *source.labels, *({id} - {"id"})}):
        if path not in existing and path.partition(".")[0] not in existing:
            raise UnknownNameError(f"column in '{table}'", path, existing)
    missing = []
    for wanted in task.fields:
        if wanted.name in columns:
            continue
        free = [c for c in (wanted.name, *wanted.aliases) if c not in mapped]
        found = _find(free, existing, mapped)
        if found is not None:
            columns[wanted.name] = found
        elif wanted.required and wanted.name not in source.fill:
            missing.append(wanted)
    if missing:
        lacking = " and ".join(
            f"'{wanted.name}' (nor {', '.join(wanted.aliases) or 'an alias'})" for wanted in missing
        )
        raise DatasetError(
            f"Dataset '{source.path}' has no column for {lacking}; its columns are "
            f"{', '.join(map(str, existing))}. "
            f"{_name_columns(source, [wanted.name for wanted in missing])}"
            + ' Or name all, if the first line is a row: {"header": [...]}.'
            * cells
        )
    if not columns and task.fields:
        raise DatasetError(
            f"Dataset '{source.path}' has no column for any of {', '.join(names)}; its columns are "
            f"{', '.join(map(str, existing))}. {_name_columns(source, names[:1])}"
        )
    _check_lists(source, task, columns)
    required = {wanted.name for wanted in task.fields if wanted.required}
    lists = {wanted.name for wanted in task.fields if wanted.takes != "text"}
    fields = FieldMap(
        columns,
        {path: names_by_value(path, labels) for path, labels in source.labels.items()},
        source.join,
        source.fill,
        frozenset(lists) if cells else frozenset(),
        frozenset(wanted.name for wanted in task.fields if wanted.takes == "data"),
    )
    needed = frozenset(({*source.columns} - {"id"}) | required)
    return Matched(fields, id, needed, frozenset(fields.paths() | {id} | keys))


def _name_columns(source: RowsSpec, fields: Sequence[str]) -> str:
    """Says how the columns of fields are named, to be copied."""
    columns = {**source.columns, **dict.fromkeys(fields, "...")}
    shown = json.dumps({"path": source.path, "columns": columns}, ensure_ascii=False)
    return f"Name {'one' if len(fields) == 1 else 'them'}: {shown}.{hint_of(source.path)}"


def _find(
    wanted: Collection[str], existing: Collection[str], mapped: Collection[str] = ()
) -> str | None:
    """Returns the first wanted column that exists, in its own capitals or else in any."""
    for name in wanted:
        if name in existing:
            return name
    for name in wanted:
        alike = [
            column
            for column in existing
            if isinstance(column, str)
            and column.casefold() == name.casefold()
            and column not in mapped
        ]
        if len(alike) > 1:
            raise DatasetError(
                f"The columns {' and '.join(map(repr, alike))} differ in capitals alone. Say which "
                f'is read: {{"path": ..., "columns": {{"{wanted[0]}": "{alike[0]}"}}}}.'  # type: ignore[index] # a list
            )
        if alike:
            return alike[0]
    return None


def _check_lists(source: RowsSpec, task: Task, columns: Mapping[str, object]) -> None:
    """Refuses several columns for a field that takes one text, unless they are joined."""
    for wanted in task.fields:
        column = columns.get(wanted.name)
        if (
            wanted.takes == "text"
            and not isinstance(column, str | Mapping | None)
            and wanted.name not in source.join
        ):
            raise DatasetError(
                f"'{wanted.name}' is one text, and {column!r} are several columns. Say what to put "
                f'between them: {{"path": ..., "join": {{"{wanted.name}": " "}}}}.'
            )
