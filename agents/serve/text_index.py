"""Where the texts of a run's file stand: the file stays the only copy of them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.serve.line_tail import LineTail, parse_object

# Answers in a line of samples.jsonl; a line of the other files is one answer itself.
_ANSWERS = ("before", "best", "after")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer stands."""

    line: int  # number of its line
    part: str  # "before", "best" or "after" in samples.jsonl; empty elsewhere
    iteration: int  # -1 where the line does not tell it
    reward: float  # NaN for none


class TextIndex:
    """The answers of a file of texts: offsets, iterations and rewards.

    Args:
        path: `rollouts.jsonl`, `looks.jsonl` or `samples.jsonl` of a run.
    """

    def __init__(self, path: Path) -> None:
        self._tail = LineTail(path)
        self._clear()

    def __len__(self) -> int:
        """Number of answers."""
        return len(self._rewards)

    def refresh(self) -> None:
        """Reads what was appended to the file."""
        appended = self._tail.look()
        if appended.is_anew:
            self._clear()
        for offset, line in appended.lines:
            row = parse_object(line)
            if row is None:
                continue
            number = len(self._offsets)
            self._offsets.append(offset)
            self._lengths.append(len(line))
            iteration = _small_int_or(-1, row.get("iteration"))
            parts = [p for p in _ANSWERS if isinstance(row.get(p), dict)]
            for part in parts or [""]:
                self._lines.append(number)
                self._parts.append(_ANSWERS.index(part) if part else -1)
                self._iterations.append(iteration)
                self._rewards.append(number_or_nan((row[part] if part else row).get("reward")))

    def places(self) -> Iterator[Place]:
        """Yields every answer, in the order of the file."""
        for line, part, iteration, reward in zip(
            self._lines, self._parts, self._iterations, self._rewards, strict=True
        ):
            yield Place(line, _ANSWERS[part] if part >= 0 else "", iteration, reward)

    def read(self, lines: Sequence[int], words: Sequence[bytes] = ()) -> Iterator[dict[str, Any]]:
        """Yields some lines; an empty one where the file was replaced meanwhile.

        Args:
            lines: Numbers of the lines.
            words: Lower-case bytes; a line that lacks one of them is empty, too.
        """
        n = len(self._offsets)
        spans = [(self._offsets[i], self._lengths[i]) if i < n else (0, 0) for i in lines]
        try:
            file = self._tail.path.open("rb")
        except OSError:
            yield from ({} for _ in spans)
            return
        with file:
            for offset, length in spans:
                file.seek(offset)
                text = file.read(length)
                lower = text.lower() if words else b""
                has_all = all(word in lower for word in words)
                yield (parse_object(text) if has_all else None) or {}

    def read_all(self) -> list[dict[str, Any]]:
        """Returns every line, as of now."""
        self.refresh()
        return [row for row in self.read(range(len(self._offsets))) if row]

    def _clear(self) -> None:
        self._offsets, self._lengths = array("q"), array("q")  # by line
        # By answer.
        self._lines, self._parts, self._iterations = array("q"), array("b"), array("q")
        self._rewards = array("d")


def number_or_nan(value: object) -> float:
    """Returns a finite number as it is, and NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _small_int_or(default: int, value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**62 else default
