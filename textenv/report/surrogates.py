"""Texts that UTF-8 can write, whatever a model or a file brought."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

Value = TypeVar("Value")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


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
