"""Rows of CSV files: which delimiter, which columns, and which lines are none."""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from textenv.datasets.formats.text_files import ReadOptions, open_text
from textenv.datasets.row import Note, Row
from textenv.errors import DatasetError

_LONGEST_CELL = 2**31 - 1
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_LOOKED_AT = 200  # rows from which the delimiter is found out

_NO_QUOTES = 'or, where \'"\' encloses no cells, give {"path": ..., "quotes": false}'
_QUOTE_ADVICE = f"double the quotes within a quoted cell, {_NO_QUOTES}"
_BLANK_FIRST = f"a blank stands before the quote of a cell. Remove the blank, {_NO_QUOTES}"
_NOTED = 3  # cells of a file that seem to hold rows

_BLANK_QUOTE = re.compile(r'[^\S\r\n]"')
_ODD_BLANK = re.compile(r'[^\S\r\n]*[^\S \r\n][^\S\r\n]*"')  # such as a tab: csv skips spaces

# A row, or why it is none; or None for a line without any value; or a note.
Item = tuple[int, Row | str | Note | None]
Record = tuple[int, list[str] | str]  # Its line, and its cells, or what is wrong with it


def iterate_csv(path: Path, options: ReadOptions) -> Iterator[Item]:
    """Yields the line of each row and the row, under the names of the header."""
    previous_limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        first, delimiter = _layout(path, options)
        every = _records(path, options, delimiter)
        records = itertools.dropwhile(lambda record: record[0] < first, every)
        yield from _rows(path, records, delimiter, options)
    finally:
        csv.field_size_limit(previous_limit)


def _rows(
    path: Path,
    records: Iterator[Record],
    delimiter: str,
    options: ReadOptions,
) -> Iterator[Item]:
    header: Sequence[str] | None = options.header
    if header is None:
        first = next(
            (cells for _, cells in records if isinstance(cells, str) or _filled(cells)), []
        )
        if isinstance(first, str):
            raise DatasetError(f"{path}, line 1: {first}.")
        header = first
    names, heads = _names(path, header), _heads(header)
    named = sum(bool(cell.strip()) for cell in header)
    width = len(names)
    n_noted = 0
    for line, cells in records:
        if isinstance(cells, str):
            yield line, cells
            continue
        text = "".join(cells)
        spans = "\n" in text or "\r" in text
        if (
            spans
            and n_noted < _NOTED
            and any(_holds_rows(cell, delimiter, width) for cell in cells)
        ):
            n_noted += 1
            yield (
                line,
                Note(
                    f"{path.name}, line {line}: a quoted cell spans lines that look like rows, and "
                    f"is read as one text. If they are rows, {_QUOTE_ADVICE}."
                ),
            )
        if not _filled(cells):
            yield line, None
        elif spans and delimiter == "\t" and any("\n" in c and "\t" in c for c in cells):
            yield line, f"a quoted cell spans several rows. To mend it, {_QUOTE_ADVICE}"
        elif _name(cells[0]) == heads[0] and _heads(cells) == heads:
            yield line, "the row is the header again. Remove it"
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


def _holds_rows(cell: str, delimiter: str, width: int) -> bool:
    """True if most lines of a cell but the first, and at least two, have the cells of a row."""
    later = [line for line in cell.splitlines()[1:] if line.strip()]
    alike = sum(line.count(delimiter) == width - 1 > 0 for line in later)
    return alike > 1 and alike * 2 > len(later)


def _records(path: Path, options: ReadOptions, delimiter: str) -> Iterator[Record]:
    """Yields the records of a file; blanks before quotes are skipped where they all are so."""
    with open_text(path, options) as text:
        for line, cells in _parsed(path, text, delimiter, options.quotes):
            if cells == _BLANK_FIRST:
                break
            yield line, cells
        else:
            return
    skips = _skips_blanks(path, options, delimiter)
    with open_text(path, options) as text:
        every = _parsed(path, text, delimiter, options.quotes, skips_blanks=skips)
        yield from itertools.dropwhile(lambda record: record[0] < line, every)


def _skips_blanks(path: Path, options: ReadOptions, delimiter: str) -> bool:
    """True if every record is right, and all are as wide, once blanks before quotes are skipped."""
    with open_text(path, options) as text, contextlib.suppress(DatasetError):
        records = _parsed(path, text, delimiter, True, skips_blanks=True)
        widths = {
            0 if isinstance(cells, str) else len(cells)
            for _, cells in records
            if isinstance(cells, str) or _filled(cells)
        }
        return len(widths) == 1 and 0 not in widths
    return False


def _parsed(
    path: Path, text: Iterable[str], delimiter: str, quotes: bool, *, skips_blanks: bool = False
) -> Iterator[Record]:
    """Yields the line at which each record begins, and its cells, or what is wrong with it."""
    lines: list[str] = []  # of the record
    dialect: dict[str, Any] = {
        "delimiter": delimiter,
        "strict": True,
        "quoting": csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
    }
    fed = (lines.append(line) or line for line in text)  # type: ignore[func-returns-value]
    reader = csv.reader(fed, skipinitialspace=skips_blanks, **dialect)
    while True:
        lines.clear()
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "end of data" in str(error):
                raise DatasetError(
                    f"{path}, line {line}: a quote in this row is never closed, so all that "
                    f"follows is one cell. Close it; {_QUOTE_ADVICE}."
                ) from error
            yield line, f"not valid CSV: {error}. To mend it, {_QUOTE_ADVICE}"
            continue
        if not quotes or not any(map(_BLANK_QUOTE.search, lines)):
            yield line, cells
        elif any(map(_ODD_BLANK.match, cells)):
            yield line, _BLANK_FIRST
        elif skips_blanks:  # on several lines, the quotes may be of several cells
            yield line, cells if len(lines) == 1 else _BLANK_FIRST
        else:
            yield line, _BLANK_FIRST if _differs(lines, cells, dialect) else cells


def _differs(lines: Sequence[str], cells: Sequence[str], dialect: Mapping[str, Any]) -> bool:
    """True if a record has other cells once the blanks before quotes are skipped."""
    try:
        others = next(csv.reader(lines, skipinitialspace=True, **dialect))
    except csv.Error:
        return True
    return [cell.lstrip() for cell in cells] != [cell.lstrip() for cell in others]


def _filled(cells: Sequence[str]) -> bool:
    return any(cells) and any(map(str.strip, cells))


def _name(cell: str) -> str:
    return cell.strip().strip("\ufeff").strip()


def _heads(cells: Sequence[str]) -> list[str]:
    """Returns the names in a header, without empty ones at its end."""
    names = list(map(_name, cells))
    while len(names) > 1 and not names[-1]:
        names.pop()
    return names


def _names(path: Path, header: Sequence[str]) -> list[str]:
    """Returns the columns' names, stripped; those without one are numbered."""
    names = [_name(cell) or f"column {place}" for place, cell in enumerate(header, start=1)]
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
        with contextlib.suppress(DatasetError):
            records = _records(path, options, delimiter)
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
