"""Cells of a table of text that spell a list, as spreadsheets and pandas write one."""

from __future__ import annotations

import ast
import io
import itertools
import json
import tokenize
from typing import Any

from textenv.errors import DatasetError

_OPENINGS = ('["', "['", '[{"', "[{'", '{"', "{'", "[[")


def list_in_cell(name: str, cell: str) -> Any:
    """Returns the list or mapping that a cell spells, in JSON or in Python; else the cell itself.

    Raises:
        DatasetError: The cell begins like one, but cannot be read.
    """
    text = cell.strip()
    if text[:1] not in ("[", "{") or text[-1:] not in ("]", "}"):
        return cell
    try:
        value = json.loads(text)
    except ValueError:
        value = _python(text)
    if isinstance(value, dict) or (isinstance(value, list) and not _holds_numbers(value)):
        return value
    if text.startswith(_OPENINGS) and not isinstance(value, list):
        raise DatasetError(
            f"the {name} looks like a list, but cannot be read as one: {text[:80]!r}. Write it as "
            'JSON: ["first", "second"].'
        )
    return cell


def _holds_numbers(value: list[Any]) -> bool:
    """True for "[1, 2]": a text about numbers as likely as a list."""
    return bool(value) and all(isinstance(item, int | float) for item in value)


def _python(text: str) -> Any:
    """Returns the value of a Python literal, None if there is none.

    ['a' 'b'], as NumPy prints an array, would be one text to Python: it is none here.
    """
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        strings = [token.type == tokenize.STRING for token in tokens if token.string.strip()]
        if any(a and b for a, b in itertools.pairwise(strings)):
            return None
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError):
        return None
