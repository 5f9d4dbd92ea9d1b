"""Reads docstrings for the pages: the text, and Google's sections of named entries."""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"^(Args|Attributes):\n((?:(?: {4}.*)?\n?)*)", re.MULTILINE)
# Of those who write code, and of no page.
_DROPPED = re.compile(r"^(Returns|Raises|Yields):\n((?:(?: {4}.*)?\n?)*)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+): ", re.MULTILINE)


def text_of(documented: object) -> str:
    """Returns a docstring without its sections of named entries.

    Headings are set apart from what follows them by an empty line, as Markdown wants it.
    """
    text = _DROPPED.sub("", _SECTION.sub("", inspect.getdoc(documented) or ""))
    return re.sub(r"^(#+ .*)\n(?!\n)", r"\1\n\n", text, flags=re.MULTILINE).strip()


def entries_of(documented: object) -> dict[str, str]:
    """Returns the named entries of a docstring, such as the arguments that it documents."""
    entries: dict[str, str] = {}
    for section in _SECTION.finditer(inspect.getdoc(documented) or ""):
        _, *parts = _ENTRY.split(section[2])
        texts = (" ".join(text.split()) for text in parts[1::2])
        entries.update(zip(parts[::2], texts, strict=True))
    return entries
