"""The rows of a metrics.jsonl by column: eight bytes a number, for many runs at a time."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any

_MOST_KEYS = 512  # of a run; a file of other keys in every line must not fill the memory


class MetricColumns:
    """Numbers by key, one for each row; what a row lacks, or has no number for, is NaN."""

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {}
        self._n = 0

    def __len__(self) -> int:
        return self._n

    @property
    def keys(self) -> list[str]:
        """The keys, in the order in which they came."""
        return list(self._columns)

    def clear(self) -> None:
        """Forgets all rows."""
        self._columns, self._n = {}, 0

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends a row; what is not a finite number is left out."""
        for key, value in row.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if key not in self._columns:
                if len(self._columns) == _MOST_KEYS:
                    continue
                self._columns[key] = array("d", [math.nan]) * self._n
            try:
                self._columns[key].append(float(value))
            except OverflowError:  # a whole number of more than 308 digits
                continue
        self._n += 1
        for column in self._columns.values():
            if len(column) < self._n:
                column.append(math.nan)

    def last(self, key: str) -> float | None:
        """Returns the latest number of a key; None without one."""
        found = (value for value in reversed(self._columns.get(key, ())) if math.isfinite(value))
        return next(found, None)

    def rows(self) -> list[dict[str, Any]]:
        """Returns the rows as `metrics.jsonl` has them, without what is not a number."""
        rows: list[dict[str, Any]] = [{} for _ in range(self._n)]
        for key, column in self._columns.items():
            for row, value in zip(rows, column, strict=True):
                if math.isfinite(value):
                    row[key] = int(value) if key == "iteration" else value
        return rows
