"""Rows as files and the hub give them, and what was seen beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textenv.errors import DatasetError

Row = Mapping[str, Any]
Rows = Sequence[Row]


@dataclass(frozen=True)
class Part:
    """Rows of a table that stand in one file."""

    file: str  # Name of the file
    size: int  # Number of rows
    # The line at which each begins, from 1, or else its number in the file; None where the rows
    # have no lines and none was refused
    places: Sequence[int] | None = None
    unit: str = "line"  # What `places` counts: lines or rows


@dataclass(frozen=True)
class Note:
    """What a user should know of how a file was read."""

    text: str
    column: str | None = None  # The one that it is about: it matters only if that is read


@dataclass(frozen=True)
class Refused:
    """A row that could not be read, in place of the row."""

    where: str  # Its file and line
    reason: str

    def error(self, number: int = 1) -> DatasetError:
        """Says why it could not be read; `number` counts all such rows."""
        others = f" In all, {number} rows cannot be read." if number > 1 else ""
        return DatasetError(
            f"{self.where}: {self.reason}.{others} To leave such rows out, and count them: "
            '{"path": ..., "skip": "unusable"}.'
        )
