"""Text of models, rows and files is data: what a terminal, a spreadsheet or UTF-8 is given of it.

`for_terminal` is for all that is printed, `for_csv` for each cell of a table, and
`without_lone_surrogates` for what is written as UTF-8. Templates of pages escape HTML.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

Value = TypeVar("Value")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_BIDI_CONTROLS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
# C0 has signs of its own; C1, marks that turn the direction of all that follows, and halves of
# surrogate pairs have none.
_SIGNS = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *_BIDI_CONTROLS, *range(0xD800, 0xE000)), 0xFFFD),
}
_SHOWN = re.compile(f"[{''.join(map(re.escape, map(chr, _SIGNS)))}]")

# A cell that begins so may be run as a formula; wide forms, too, in some languages.
_FORMULA = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}",
            "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip
_BREAKS = ("\t", "\r", "\n")


def for_terminal(text: str) -> str:
    """Shows control characters as signs, so that a text cannot steer the terminal it is printed on.

    Of all below U+0020 only newline and tab stay. Delete, U+0080 to U+009F, the controls of
    bidirectional text and halves of surrogate pairs are shown, too.
    """
    return text.translate(_SIGNS) if _SHOWN.search(text) else text


def in_json(text: str) -> str:
    r"""Writes what `for_terminal` would change in a JSON text as escapes, such as \u009b.

    Another program reads the same values from it.
    """
    return _SHOWN.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def for_csv(value: Any) -> Any:
    """Puts a quote before a text that a spreadsheet would take for a formula.

    Numbers stay numbers. Halves of surrogate pairs, which no file could hold, are replaced.
    """
    if not isinstance(value, str):
        return value
    is_formula = value.lstrip().startswith(_FORMULA) or value.startswith(_BREAKS)
    return without_lone_surrogates(f"'{value}" if is_formula else value)


def without_lone_surrogates(value: Value) -> Value:
    """Replaces halves of surrogate pairs in every text of a record; UTF-8 cannot write them."""
    cleaned: Any = value
    if isinstance(value, str):
        cleaned = _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    elif isinstance(value, dict):
        cleaned = {without_lone_surrogates(k): without_lone_surrogates(v) for k, v in value.items()}
    elif isinstance(value, list | tuple):
        cleaned = type(value)(without_lone_surrogates(item) for item in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value)]
        cleaned = dataclasses.replace(
            value, **{name: without_lone_surrogates(getattr(value, name)) for name in fields}
        )
    return cleaned  # type: ignore[no-any-return] # of the kind it was given
