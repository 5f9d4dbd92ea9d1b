"""Cells of a table, each with its header: the layout of ToTTo, and plain lists of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textenv.errors import DatasetError
from textenv.tasks.rows import datum_of, is_blank


@dataclass(frozen=True)
class _Cell:
    value: str
    is_header: bool
    start: int  # the first column that it covers
    stop: int  # the first one after it


def highlighted(id: str, table: Any, cells: Any) -> tuple[tuple[str, str], ...]:
    """Returns (header, value) of the highlighted cells of a table, in their order.

    A table is a list of rows of cells: texts or numbers, or mappings with "value" and optionally
    "is_header", "column_span" and "row_span". A cell's header is the nearest header above it or, if
    there is none, the nearest one to its left, or "value". Where no cell says whether it is a
    header, those of the first row are, if there are more rows than one. Cells without text are left
    out.

    A position is [row, column], counted from 0 within the row as written; None stands for all cells
    that are no headers.
    """
    rows = _read(id, table)
    if cells is None:
        cells = [
            (i, j) for i, row in enumerate(rows) for j, cell in enumerate(row) if not cell.is_header
        ]
    found = []
    for position in cells:
        try:
            i, j = (int(index) for index in position)
            if i < 0 or j < 0:
                raise IndexError
            cell = rows[i][j]
        except (TypeError, ValueError, IndexError):
            raise DatasetError(
                f"The highlighted cell {position!r} of example '{id}' is not in its table of "
                f"{len(rows)} rows; give [row, column], from 0."
            ) from None
        if cell.value:
            found.append((_header_of(rows, i, j), cell.value))
    return tuple(found)


def _header_of(rows: Sequence[Sequence[_Cell]], i: int, j: int) -> str:
    cell = rows[i][j]
    for row in reversed(rows[:i]):
        for other in row:
            if other.is_header and other.value and other.start <= cell.start < other.stop:
                return other.value
    for other in reversed(rows[i][:j]):
        if other.is_header and other.value:
            return other.value
    return "value"


def _read(id: str, table: Any) -> list[list[_Cell]]:
    if not isinstance(table, list | tuple) or not all(isinstance(r, list | tuple) for r in table):
        raise DatasetError(
            f"The table of example '{id}' must be a list of rows, each a list of cells."
        )
    says_headers = any(
        isinstance(cell, Mapping) and "is_header" in cell for row in table for cell in row
    )
    rows: list[list[_Cell]] = []
    # Columns that cells of earlier rows reach down into: column -> first row that is free again.
    taken: dict[int, int] = {}
    for i, row in enumerate(table):
        cells, column = [], 0
        for cell in row:
            fields = cell if isinstance(cell, Mapping) else {"value": cell}
            given = fields.get("value")
            value = "" if is_blank(given) else datum_of(id, "a cell", given)
            is_header = bool(fields.get("is_header", not says_headers and i == 0 < len(table) - 1))
            while taken.get(column, 0) > i:
                column += 1
            stop = column + int(fields.get("column_span") or 1)
            for covered in range(column, stop):
                taken[covered] = i + int(fields.get("row_span") or 1)
            cells.append(_Cell(" ".join(value.split()), is_header, column, stop))
            column = stop
        rows.append(cells)
    return rows
