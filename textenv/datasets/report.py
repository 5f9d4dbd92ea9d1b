"""What became of the rows of a data set when it was loaded."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from textenv.datasets.base import Split
from textenv.safe_text import for_terminal

_LOGGER = logging.getLogger("textenv.datasets")
_SHOWN = 5  # reasons, and places of each
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


@dataclass(frozen=True)
class LoadReport:
    """What was read, and what became of it.

    Attributes:
        source: The path, id or name of the data set.
        rows_read: Rows that the files hold, those that cannot be read included.
        kept: Rows that an example is made of; the others are counted in `skipped`.
        skipped: Reason -> number of rows that were left out for it.
        places: Reason -> the first of these rows: file and line.
        duplicates: Kept rows that say nothing which an earlier row of the same prompt does not.
        merged: Kept rows that add a reference to the example of an earlier row.
        sizes: Split -> number of examples. They make up all splits that were read.
        notes: What a user should know before training on the set.
    """

    source: str
    rows_read: int
    kept: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    duplicates: int = 0
    merged: int = 0
    sizes: Mapping[Split, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """Returns the report as lines of plain text."""
        counts = [f"{self.rows_read:,} rows read", f"{self.kept:,} kept"]
        for number, what in (
            (sum(self.skipped.values()), "skipped"),
            (self.duplicates, "of them duplicates"),
            (self.merged, "of them merged into another row's example"),
        ):
            if number:
                counts.append(f"{number:,} {what}")
        sizes = ", ".join(f"{split} {size:,}" for split, size in self.sizes.items())
        lines = [f"{self.source}: {', '.join(counts)}.", f"Examples: {sizes}."]
        reasons = sorted(self.skipped.items(), key=lambda item: -item[1])
        for reason, number in reasons[:_SHOWN]:
            places = "; ".join(self.places.get(reason, ()))
            lines.append(f"Skipped {number:,}: {reason}" + f" ({places})" * bool(places))
        if len(reasons) > _SHOWN:
            rest = sum(number for _, number in reasons[_SHOWN:])
            lines.append(f"Skipped {rest:,} for {len(reasons) - _SHOWN} other reasons.")
        lines += [f"Note: {note}" for note in self.notes]
        # Rows and names of files may hold what steers a terminal, or bytes that are no text.
        return tuple(map(for_terminal, lines))

    def log(self) -> None:
        """Logs the counts as information, and each note, once a process, as a warning."""
        lines = self.lines()
        for line in lines[: len(lines) - len(self.notes)]:
            _LOGGER.info("%s", line)
        for note in self.notes:
            _warn_once(f"{self.source}: {note}")


@functools.cache
def _warn_once(text: str) -> None:
    _LOGGER.warning("%s", for_terminal(text))


def counted(number: int, what: str) -> str:
    """Returns "1 prompt", "2,000 prompts"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def reason_of(message: str, names: Collection[str]) -> str:
    """Returns an error without what differs from row to row: the id, and values of the row."""

    def elided(found: re.Match[str]) -> str:
        return found[0] if found[0][1:-1] in names else "'…'"

    said = _QUOTED.sub(elided, message).split(". ")[0].rstrip(".")
    return said.replace("Example '…'", "A row").replace("example '…'", "a row")
