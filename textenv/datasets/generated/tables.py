"""Reads the word lists and sentences of the generated datasets: the YAML files beside this one.

In them an item such as `$towns` stands for all words of that list in words.yaml. As YAML asks, a
text stands in quotes where it begins with "{", holds ": ", or would be read as something else than
a text ("yes", "no", "12").
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from itertools import product
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator

from textenv.errors import UnknownNameError
from textenv.strict_yaml import check_form, load_yaml

T = TypeVar("T")


def load_table(name: str, kind: type[T]) -> T:
    """Reads the table `name`.yaml, and checks that it has the form that the code expects."""
    file = f"{name}.yaml"
    return check_form(file, _write_out_lists(_read(file)), kind)


def _read(file: str) -> Any:
    text = resources.files("textenv.datasets.generated").joinpath(file).read_text("utf-8")
    return load_yaml(text, fast=True)


@cache
def _word_lists() -> dict[str, Any]:
    lists: dict[str, Any] = _read("words.yaml")
    return lists


def _write_out_lists(value: Any) -> Any:
    """Puts the words of a list in the place of its name, such as `$towns`."""
    if isinstance(value, dict):
        return {key: _write_out_lists(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    written = []
    for item in value:
        if isinstance(item, str) and item.startswith("$"):
            if item[1:] not in _word_lists():
                raise UnknownNameError("word list", item[1:], _word_lists())
            written += _write_out_lists(_word_lists()[item[1:]])
        else:
            written.append(_write_out_lists(item))
    return written


def _write_out_values(values: Any) -> Any:
    """Writes out {parts: [...]} and {first: ..., last: ...}; a list stays as it is."""
    if not isinstance(values, Mapping):
        return values
    if "parts" in values:
        return [" ".join(parts) for parts in product(*values["parts"])]
    return _number_texts(**values)


def _number_texts(first: int, last: int, step: int = 1, text: str = "{}") -> list[str]:
    return [text.format(number) for number in range(first, last + 1, step)]


# Values that a table may give as a list, as a range of numbers, or as all combinations of parts.
Texts = Annotated[tuple[str, ...], BeforeValidator(_write_out_values)]
Numbers = Annotated[tuple[int, ...], BeforeValidator(_write_out_values)]
