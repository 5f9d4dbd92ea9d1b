"""Reads JSON that somebody else may have written: whatever it holds, an error is a ValueError."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 100  # objects and lists within each other
TOO_DEEP = f"it is nested too deeply: more than {DEEPEST} objects and lists within each other"


def load_json(text: str | bytes) -> Any:
    """Returns what a JSON text holds.

    Raises:
        ValueError: It is not JSON, not UTF-8, nested too deeply, or has too long a number.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    check_depth(value, text)
    return value


def check_depth(value: Any, text: str) -> None:
    """Refuses a value that is nested so deeply that reading or writing it further could fail.

    Args:
        value: What the text holds.
        text: JSON text; one with few brackets is not looked into.

    Raises:
        ValueError: It is nested more deeply than `DEEPEST`.
    """
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(TOO_DEEP)
