"""Rows of JSON files: an object a line, objects one after another, or one document of them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from textenv.datasets.formats.json_layouts import is_dialogue, rows_of_document, unfolded
from textenv.datasets.formats.text_files import (
    ReadOptions,
    encoding_of,
    open_bytes,
    open_text,
    wrong_encoding,
)
from textenv.datasets.row import Row
from textenv.errors import DatasetError
from textenv.plain_json import TOO_DEEP, check_depth

# Start and end of a line in its file, in bytes.
Span = tuple[int, int]

# The line of a row, 0 where rows have none, and the row, or why it is none.
Item = tuple[int, Row | str]

_BOM = "\ufeff"
_SPACE = re.compile(r"[ \t\r\n]*")
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number"}


class WrittenFloat(float):
    """A number with a fraction or an exponent, which `str` gives as it was written."""

    text: str

    def __new__(cls, text: str | float) -> WrittenFloat:
        """Keeps the text beside the number."""
        made = super().__new__(cls, text)
        made.text = str(text)
        return made

    def __str__(self) -> str:
        """Returns the number as it was written."""
        return self.text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = dict.fromkeys(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {', '.join(map(repr, twice))} stands in one object twice")
    return made


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name)  # pandas writes NaN for no value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=WrittenFloat, parse_constant=_constant
)


def parse_json(text: str) -> Any:
    """Parses one value; a ValueError says in words why there is none.

    Numbers keep their spelling, NaN is no value, and a key that comes twice is an error.
    """
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg}") from error
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    check_depth(value, text)
    return value


def iterate_json(path: Path, options: ReadOptions) -> Iterator[Item]:
    """Yields the line of each row, where rows have lines, and the row.

    What the file's name says decides nothing: many .json files hold an object a line.
    """
    lines = iterate_lines(path, options)
    head = list(itertools.islice(lines, 2))
    if len(head) == 2 and isinstance(head[0][1], dict):
        for line, row, _ in itertools.chain(head, lines):
            yield from _unfolded(line, row, options)
    elif head:
        yield from _iterate_document(path, options)


def _unfolded(line: int, row: Row | str, options: ReadOptions) -> Iterator[Item]:
    if isinstance(row, str):
        yield line, row
    else:
        try:
            rows = list(unfolded(row, options))
        except DatasetError as error:
            yield line, str(error).removesuffix(".")
        else:
            yield from ((line, inner) for inner in rows)


def _iterate_document(path: Path, options: ReadOptions) -> Iterator[Item]:
    with open_text(path, options) as file:
        text = file.read()
    values, problem = _values(text)
    if problem is not None:
        # One broken line among lines of objects is one bad row.
        lines = [(line, row) for line, row, _ in iterate_lines(path, options)]
        if any(isinstance(row, dict) for _, row in lines):
            for line, row in lines:
                yield from _unfolded(line, row, options)
            return
        raise DatasetError(
            f"{path}, line {problem[0]}: {problem[1]}. A file holds one object a line, or one "
            "list of objects."
        )
    if len(values) == 1:
        document = values[0][1]
        rows: Sequence[Any] = document if isinstance(document, list) else [document]
        if isinstance(document, dict):
            rows = rows_of_document(document, options, path)
        for row in rows:
            if isinstance(row, dict):
                yield from _unfolded(0, row, options)
            elif is_dialogue(row, options):
                yield 0, {"turns": row}
            else:
                yield 0, _no_row(row, "row")
        return
    for line, row in values:
        yield from _unfolded(line, row if isinstance(row, dict) else _no_row(row), options)


def _values(text: str) -> tuple[list[tuple[int, Any]], tuple[int, str] | None]:
    """Parses values one after another: the line and value of each, and what stops it, if any."""
    values: list[tuple[int, Any]] = []
    place, line = _space(text, 0), 1
    line += text.count("\n", 0, place)
    while place < len(text):
        try:
            value, end = _DECODER.raw_decode(text, place)
            check_depth(value, text[place:end])
        except json.JSONDecodeError as error:
            return values, (error.lineno, f"not valid JSON: {error.msg}")
        except (ValueError, RecursionError) as error:
            said = TOO_DEEP if isinstance(error, RecursionError) else str(error)
            return values, (line, said)
        values.append((line, value))
        after = _space(text, end)
        line += text.count("\n", place, after)
        place = after
    return values, None


def _space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    assert found is not None
    return found.end()


def iterate_lines(path: Path, options: ReadOptions) -> Iterator[tuple[int, Row | str, Span]]:
    """Yields the number of each line, its row or why it is none, and its place in the file.

    The places count only in files that are not packed and in UTF-8.
    """
    if encoding_of(path, options) != "utf-8-sig":
        with open_text(path, options) as text:
            for number, line in enumerate(text, start=1):
                if line.strip():
                    yield number, _row(line), (0, 0)
        return
    start = 0
    with open_bytes(path) as lines:  # bytes, so that spans are exact and only \n ends a line
        for number, data in enumerate(lines, start=1):
            span = start, start + len(data)
            start = span[1]
            try:
                line = data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise wrong_encoding(path, options, error, f"line {number}") from error
            if number == 1:
                line = line.removeprefix(_BOM)
            if line and not line.isspace():
                yield number, _row(line), span


def _row(line: str) -> Row | str:
    try:
        row = parse_json(line)
    except ValueError as error:
        return f"{error}. The file must hold one object a line, or one list of objects"
    return row if isinstance(row, dict) else _no_row(row)


def _no_row(value: object, place: str = "line") -> str:
    return f"found {kind_of(value)}. Each {place} must be an object of columns"


def kind_of(value: object) -> str:
    """Names the kind of a JSON value."""
    return "no value" if value is None else _KINDS.get(type(value), "a number")
