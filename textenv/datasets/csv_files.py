"""Rows of CSV files: which delimiter, which columns, and which lines are none."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from textenv.datasets.reading import Row
from textenv.datasets.text_files import ReadOptions, open_text
from textenv.errors import DatasetError

_LONGEST_CELL = 2**31 - 1
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_LOOKED_AT = 200  # rows from which the delimiter is found out

_QUOTE_ADVICE = (
    "Double the quotes within a quoted cell, or, where '\"' encloses no cells, give "
    '{"path": ..., "quotes": false}'
)

# A row, or why it is none; or None for a line without any value.
Item = tuple[int, Row | str | None]


def iterate_csv(path: Path, options: ReadOptions) -> Iterator[Item]:
    """Yields the line of each row and the row, under the names of the header."""
    previous_limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        first, delimiter = _layout(path, options)
        with open_text(path, options) as text:
            every = _records(path, text, delimiter, options.quotes)
            records = itertools.dropwhile(lambda record: record[0] < first, every)
            yield from _rows(path, records, delimiter, options)
    finally:
        csv.field_size_limit(previous_limit)


def _rows(
    path: Path,
    records: Iterator[tuple[int, list[str] | str]],
    delimiter: str,
    options: ReadOptions,
) -> Iterator[Item]:
    header: Sequence[str] | None = options.header
    if header is None:
        first = next(
            (cells for _, cells in records if isinstance(cells, str) or _filled(cells)), []
        )
        if isinstance(first, str):
            raise DatasetError(f"{path}, line 1: not valid CSV: {first}. {_QUOTE_ADVICE}.")
        header = first
    names = _names(path, header)
    named = sum(bool(cell.strip()) for cell in header)
    width = len(names)
    for line, cells in records:
        if isinstance(cells, str):
            yield line, f"not valid CSV: {cells}. {_QUOTE_ADVICE}"
        elif not _filled(cells):
            yield line, None
        elif delimiter == "\t" and any("\n" in cell and "\t" in cell for cell in cells):
            yield line, f"a quoted cell spans several rows. {_QUOTE_ADVICE}"
        elif len(cells) == width:
            yield line, dict(zip(names, cells, strict=True))
        elif len(cells) > width and not any(cells[width:]):
            yield line, dict(zip(names, cells[:width], strict=True))
        elif named <= len(cells) < width and not any(cell.strip() for cell in header[named:]):
            yield line, dict(zip(names, cells, strict=False))
        else:
            yield (
                line,
                f"the row has another number of cells than the header: {len(cells)}, not "
                f"{width}, separated by {_DELIMITERS.get(delimiter, repr(delimiter))}. "
                "Quote cells that hold delimiters or line breaks",
            )


def _records(
    path: Path, text: IO[str], delimiter: str, quotes: bool
) -> Iterator[tuple[int, list[str] | str]]:
    """Yields the line at which each record begins, and its cells, or what is wrong with it."""
    reader = csv.reader(
        text,
        delimiter=delimiter,
        strict=True,
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
    )
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "end of data" in str(error):
                raise DatasetError(
                    f"{path}, line {line}: a quote in this row is never closed, so all that "
                    f"follows is one cell. Close it. {_QUOTE_ADVICE}."
                ) from error
            yield line, str(error)


def _filled(cells: Sequence[str]) -> bool:
    return any(cells) and any(map(str.strip, cells))


def _names(path: Path, header: Sequence[str]) -> list[str]:
    """Returns the columns' names, stripped; those without one are numbered."""
    names = [
        cell.strip("\ufeff").strip() or f"column {place}"
        for place, cell in enumerate(header, start=1)
    ]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise DatasetError(
            f"{path}: {len(names)} columns, of which several are named "
            f"{', '.join(map(repr, twice))}. Give each column a name of its own; or "
            'name all, if the first line is a row: {"path": ..., "header": [...]}.'
        )
    return names


def _layout(path: Path, options: ReadOptions) -> tuple[int, str]:
    """Returns the line at which the header stands at the earliest, and the delimiter."""
    with open_text(path, options) as text:
        start = text.readline().strip().strip('"')
        # Excel writes its delimiter into a line of its own.
        if start.lower().startswith("sep=") and len(start) == 5:
            return 2, options.delimiter or start[4]
    if options.delimiter is not None:
        return 1, options.delimiter
    if start.lower() == "sep=" or ".tsv" in path.suffixes or ".tab" in path.suffixes:
        return 2 if start.lower() == "sep=" else 1, "\t"
    headers: dict[str, list[str]] = {}
    even = []  # delimiters by which every row has as many cells as the header
    for delimiter in _DELIMITERS:
        with open_text(path, options) as text, contextlib.suppress(DatasetError):
            records = _records(path, text, delimiter, options.quotes)
            rows = (cells for _, cells in records if isinstance(cells, str) or _filled(cells))
            header = next(rows, "")
            if not isinstance(header, str) and len(header) > 1:
                headers[delimiter] = [cell.strip() for cell in header]
                if all(len(cells) == len(header) for cells in itertools.islice(rows, _LOOKED_AT)):
                    even.append(delimiter)
    if len(headers) > 1:  # a header such as "id;a, b": the rows decide
        serving = [d for d in even or headers if options.fits(options.header or headers[d])]
        if len(even) != 1 and len(serving) != 1:
            told = " or ".join(_DELIMITERS[delimiter] for delimiter in headers)
            raise DatasetError(
                f"{path}: cells may be separated by {told}. Say which it is: "
                '{"path": ..., "delimiter": ...}.'
            )
        return 1, (even if len(even) == 1 else serving)[0]
    return 1, next(iter(headers), ",")
