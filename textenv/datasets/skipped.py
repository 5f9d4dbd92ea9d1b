"""Rows that cannot be used: counted by reason where they are left out, else an error."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from textenv.datasets.spec import RowsSpec
from textenv.errors import DatasetError

_NUMBER = re.compile(r"-?\d[\d.,/]*")
_PLACES = 3  # of the rows that are skipped for one reason


@dataclass
class Skipped:
    """Rows that are left out: how many for each reason, and the first of them."""

    counts: dict[str, int] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)
    # Reasons that differ in numbers alone are one: the first of them
    _same: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        """Counts a row."""
        reason = self._same.setdefault(_NUMBER.sub("#", reason), reason)
        self.counts[reason] = self.counts.get(reason, 0) + 1
        places = self.places.setdefault(reason, [])
        if len(places) < _PLACES:
            places.append(where)


class Refusals:
    """What cannot be used: an error at the end, unless `skip` says to leave it out."""

    def __init__(self, source: RowsSpec) -> None:
        self.path = source.path
        self.allowed = source.skip == "unusable"
        self.first: DatasetError | None = None
        self.number = 0

    def add(self, error: DatasetError) -> None:
        """Counts a row."""
        self.first = self.first or error
        self.number += 1

    def check(self, n_rows: int) -> None:
        """Raises the first error, if it is not to be left out or nothing else is left."""
        if self.first is None or (self.allowed and self.number < n_rows):
            return
        if self.number == n_rows > 1:
            raise DatasetError(f"Not one of the {n_rows} rows can be used. {self.first}") from (
                self.first
            )
        others = f" {self.number} of {n_rows} rows cannot be used." if self.number > 1 else ""
        raise DatasetError(
            f"{self.first}{others} To leave such rows out, and count them: "
            '{"path": ..., "skip": "unusable"}.'
        ) from self.first
