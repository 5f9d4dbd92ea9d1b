"""Rows within JSON documents: under a key, in a dictionary, in columns, or nested as in SQuAD."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from textenv.datasets.columns import is_missing
from textenv.datasets.formats.text_files import ReadOptions
from textenv.datasets.row import Row
from textenv.errors import DatasetError

_DEEPEST = 4  # keys under which rows are looked for


def rows_of_document(document: Row, options: ReadOptions, path: Path, depth: int = 0) -> list[Row]:
    """Returns the rows of one object; the object itself if it is a row.

    Layouts: the list of rows, or a dictionary of them, under one key; a dictionary of rows, whose
    keys become their ids; columns, {"question": [...], "answer": [...]}, and those of pandas.

    Raises:
        DatasetError: It could be a row as well as columns, or holds several lists of rows.
    """
    if options.fits(document.keys()):
        return _row_or_columns(document, options, path)
    inner = list(document.values())
    if inner and all(isinstance(value, dict) and value for value in inner):
        first = inner[0]
        if options.fits(first.keys()) or _nested(first):
            return [
                {**value, "id": key} if is_missing(value.get("id")) else value
                for key, value in document.items()
            ]
    if inner and all(_are_rows(value) for value in inner) and is_dialogue(inner[0], options):
        return [{"id": key, "turns": value} for key, value in document.items()]
    if _is_split_frame(document):
        return [dict(zip(document["columns"], cells, strict=True)) for cells in document["data"]]
    holders = [key for key, value in document.items() if _are_rows(value)] or [
        key
        for key, value in document.items()
        if isinstance(value, dict)
        and any(isinstance(inner, dict) or _are_rows(inner) for inner in value.values())
    ]
    if len(holders) > 1:
        found = ", ".join(f"'{key}' ({len(document[key])} objects)" for key in holders[:5])
        raise DatasetError(
            f"{path}: rows may stand under {len(holders)} keys: {found}. Write each to a "
            "file of its own, train.json and test.json, say, in one folder."
        )
    if holders and depth < _DEEPEST:
        held = document[holders[0]]
        if isinstance(held, list):
            return held
        return rows_of_document(held, options, path, depth + 1)
    return [document]


def unfolded(row: Row, options: ReadOptions) -> Iterator[Row]:
    """Yields the rows that are nested in one as SQuAD nests them: paragraphs, and questions."""
    if not _nested(row) or options.fits(row.keys()):
        yield row
        return
    inner = "paragraphs" if isinstance(row.get("paragraphs"), list) else "qas"
    above = {key: value for key, value in row.items() if key not in (inner, "id")}
    for item in row[inner]:
        if not isinstance(item, dict):
            raise DatasetError(f"'{inner}' must be a list of objects, as in SQuAD.")
        yield from unfolded({**above, **item}, options)


def is_dialogue(value: object, options: ReadOptions) -> bool:
    """True for a list that the task takes for the turns of a conversation."""
    return isinstance(value, list) and options.usable({"turns": value})


def _nested(row: Row) -> bool:
    return isinstance(row.get("paragraphs"), list) or isinstance(row.get("qas"), list)


def _row_or_columns(document: Row, options: ReadOptions, path: Path) -> list[Row]:
    """Returns a document as the one row, or as the columns, that it is."""
    values = list(document.values())
    columns: list[list[Any]] = []
    if all(isinstance(value, list) for value in values):
        columns = values
    elif all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        columns = [list(value.values()) for value in values]  # {"0": ..., "1": ...}, by pandas
    if not columns or len({len(column) for column in columns}) > 1 or not columns[0]:
        return [document]
    rows: list[Row] = [
        dict(zip(document, cells, strict=True)) for cells in zip(*columns, strict=True)
    ]
    if not options.usable(rows[0]):
        return [document]
    if options.usable(document):
        if ".jsonl" in path.suffixes:  # a row of the only line
            return [document]
        raise DatasetError(
            f"{path}: the one object may be a row whose values are lists, or {len(rows)} rows in "
            "columns. Write a list of objects, one a row."
        )
    return rows


def _are_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(i, dict) for i in value)


def _is_split_frame(document: Row) -> bool:
    """True for the layout "split" of pandas: names, and a list of cells for each row."""
    columns, data = document.get("columns"), document.get("data")
    return (
        isinstance(columns, list)
        and all(isinstance(name, str) for name in columns)
        and isinstance(data, list)
        and all(isinstance(cells, list) and len(cells) == len(columns) for cells in data)
    )
