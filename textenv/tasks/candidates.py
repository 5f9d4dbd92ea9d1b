"""Reading the candidate replies that come with a dataset row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textenv.errors import DatasetError


def candidates_of(id: str, row: Mapping[str, Any], gold: str, most: int) -> list[str]:
    """Returns the texts in field `candidates`, stripped; [] if the row has none.

    Args:
        id: The example's id, for the error.
        row: The row, keyed by the task's field names.
        gold: The ideal reply, which must be one of them.
        most: How many the task allows.

    Raises:
        DatasetError: They are no list of texts, too many, not all different, or lack `gold`.
    """
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
