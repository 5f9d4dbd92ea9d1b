"""Reads the values of a dataset row: of the right type and not empty, else the row is named."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from textenv.errors import DatasetError
from textenv.examples import Episode, Example, Turn
from textenv.rewards.base import Reward, compute_rewards


def text_of(id: str, row: Mapping[str, Any], name: str) -> str:
    """Returns the text in field `name` of a row, stripped; a DatasetError if there is none."""
    value = row.get(name)
    if value is None:
        raise DatasetError(
            f"Example '{id}' has no {name}. Filter such rows out, or map a column to '{name}'."
        )
    text = written(f"Example '{id}' has {_a(name)}", value).strip()
    if not text:
        raise DatasetError(f"Example '{id}' has {_a('empty ' + name)}. Filter such rows out.")
    return text


def written(has: str, value: object) -> str:
    """Returns a text, or a number or a day as the text that it was written as.

    Raises:
        DatasetError: It is something else, or how it was written is not known. The error begins
            with `has`, such as "Example 'x' has a summary".
    """
    if isinstance(value, str):
        return value
    is_day = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
    # A float of JSON knows how it was written. One of Parquet may be 7 as well as 7.0.
    is_plain = isinstance(value, float) and (
        type(value) is not float or (not value.is_integer() and "e" not in repr(value))
    )
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole or is_day or (is_plain and math.isfinite(value)):  # type: ignore[arg-type] # a float
        return str(value)
    advice = ""
    if isinstance(value, bool):
        advice = ' Name both values: {"labels": {column: {"true": "yes", "false": "no"}}}.'
    elif isinstance(value, float | datetime.date):
        advice = f" How {value} was written is not known: write the column as text."
    raise DatasetError(f"{has} of type {type(value).__name__}; it must be a string.{advice}")


def is_blank(value: object) -> bool:
    """True for no value, NaN, and blank text."""
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or (isinstance(value, float) and value != value)


def datum_of(id: str, name: str, value: object) -> str:
    """Returns one value of some data as it was written, without spaces around; true is "true"."""
    if isinstance(value, bool):
        return str(value).lower()
    return written(f"Example '{id}' has, for {name}, a value", value).strip()


def references_of(id: str, row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Returns the reference texts in field `name`: a string, or a list, blank ones left out."""
    value = row.get(name)
    if not isinstance(value, list | tuple):
        return (text_of(id, row, name),)
    texts = [text_of(id, {name: item}, name) for item in value if not is_blank(item)]
    if not texts:
        raise DatasetError(f"Example '{id}' has {_a('empty ' + name)}. Filter such rows out.")
    return tuple(dict.fromkeys(texts))


def _a(name: str) -> str:
    """Puts an article before a name: "an answer", "a summary"; but "answers"."""
    return name if name.endswith("s") else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def candidates_of(id: str, row: Mapping[str, Any], gold: str, most: int) -> list[str]:
    """Returns the texts in field `candidates`, with `gold` among them; [] if the row has none."""
    given = row.get("candidates")
    if given is None:
        return []
    if not isinstance(given, list | tuple) or not all(isinstance(text, str) for text in given):
        raise DatasetError(f"The candidates of example '{id}' must be a list of texts.")
    texts = [text.strip() for text in given]
    if len(texts) > most:
        raise DatasetError(
            f"Example '{id}' has {len(texts)} candidates; the task allows {most}. Keep {most} of "
            "them, the right one included."
        )
    if len(set(texts)) < len(texts) or not all(texts):
        raise DatasetError(f"The candidates of example '{id}' must all differ, and none be empty.")
    if gold not in texts:
        raise DatasetError(
            f"None of the candidates of example '{id}' is the ideal reply, {gold!r}. Add it."
        )
    return texts


def best_reference(example: Example, reward: Reward) -> str:
    """Returns the reference that a reward pays most, of equal ones the first.

    Where a row names its candidates, the first reference is the one among them.
    """
    references = example.references
    if len(references) == 1 or "candidates" in example.metadata:
        return references[0]
    episodes = [Episode(example, (Turn("assistant", text),)) for text in references]
    return references[int(np.argmax(compute_rewards(reward, episodes).total))]
