"""Cells of a table of text that spell a list, as spreadsheets and pandas write one."""

from __future__ import annotations

import ast
import io
import itertools
import re
import string
import tokenize
from typing import Any

from textenv.errors import DatasetError
from textenv.plain_json import load_json

_BLANKS = string.whitespace + "\xa0\u200b\ufeff"
_QUOTE = "[\"'“”‘’„‚«‹「『]"
_BEFORE = rf"(?:[\w.]+\(\[?)?[bruBRU]{{0,2}}(?={_QUOTE})"  # np.str_('a'), list(['a']), u'a'
_FIRST = (
    r"(?:\"[^\"]*\"|'[^']*'|“[^”]*”|‘[^’]*’|„[^“”]*[“”]|‚[^‘’]*[‘’]|«[^»]*»|「[^」]*」|『[^』]*』)"
)
_NONE = r"(?:nan|NaN|NaT|NA|<NA>|None|null)"
_MAKERS = r"(?:\w+\.)?(?:array|list|tuple|set|frozenset|deque|dict_keys|dict_values|Index|Series)"

# How texts begin (and end) that a program printed as a list, or that were typed as one. Prose
# may begin with a bracket, too: "[sic] he said", "('90s music)", '("Yes," she said.)'.
_LIKE_A_LIST = re.compile(
    rf"(?:{_MAKERS}\(\s*[\[({{]|<\w*Array>\s*\[)"  # array(['a'])
    rf"|[\[{{][\s\[{{]*{_BEFORE}.*[\]}}]$"  # ['a' 'b'], {{'a', 'b'}}
    r"|\[\s*\[.*\]$"
    rf"|[\[{{][\s\[{{]*{_BEFORE}(?:{_FIRST}\)?\s*(?:[,:]|{_QUOTE}|\]?\W*$)|[^\]}}]*$)"  # cut off
    rf"|\(\s*(?:{_BEFORE}{_FIRST}|{_NONE})\s*,\s*(?:\)$|(?:{_BEFORE}|{_NONE}\b|[\d.-])"
    rf".*(?:\)|{_QUOTE})$)"  # ('a', 'b')
    rf"|\[\s*{_NONE}(?:\s*[,\]]|\s+{_QUOTE}|\s+{_NONE}\b)"  # [nan, 'b']
    rf"|\[(?=.*{_QUOTE}\s*\]$)(?:[^,]*,|\s*[\d.])",  # [7 'b']
    re.DOTALL,
)


def list_in_cell(name: str, cell: str) -> Any:
    """Returns the list or mapping that a cell spells, in JSON or in Python; else the cell itself.

    Raises:
        DatasetError: The cell looks like one, but cannot be read.
    """
    text = cell.strip(_BLANKS)
    value = None
    if text[:1] in ("[", "{") and text[-1:] in ("]", "}"):
        try:
            value = load_json(text)
        except ValueError:
            value = _python(text)
    if isinstance(value, dict) or (isinstance(value, list) and not _holds_numbers(value)):
        return value
    if not isinstance(value, list) and _LIKE_A_LIST.match(text):
        raise DatasetError(
            f"'{name}' looks like a list, but cannot be read as one: {text[:80]!r}. Write it as "
            'JSON: ["first", "second"].'
        )
    return cell


def _holds_numbers(value: list[Any]) -> bool:
    """True for "[1, 2]": a text about numbers as likely as a list."""
    return bool(value) and all(isinstance(item, int | float) for item in value)


def _python(text: str) -> Any:
    """Returns the value of a Python literal, None if there is none.

    ['a' 'b'], as NumPy prints an array, would be one text to Python: it is none here. Nor is [...],
    which stands for what was left out.
    """
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
        strings = [token.type == tokenize.STRING for token in tokens if token.string.strip()]
        if any(a and b for a, b in itertools.pairwise(strings)) or any(
            token.string == "..." for token in tokens
        ):
            return None
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError):
        return None
