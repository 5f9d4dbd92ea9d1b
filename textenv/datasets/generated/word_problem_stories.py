"""The situations of the set "word-problems"; word_problems.yaml holds and explains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator

from textenv.datasets.generated.tables import Numbers, load_table

Line = tuple[str, str, str]  # left, operation, right, as letters


@dataclass(frozen=True)
class Move:
    """One step of a story."""

    lines: tuple[Line, ...]  # the calculation; the last line gives the new running number
    texts: tuple[str, ...]  # the wordings
    letters: str  # the numbers to draw
    told: str = ""  # the letter of the running number, for a start that calculates nothing


def _read_move(move: Any) -> Move:
    """Reads a move from {calculation: wordings}, such as {"k*m; x+_": [...]}."""
    ((formula, texts),) = move.items()
    texts = (texts,) if isinstance(texts, str) else tuple(texts)
    parts = [part.strip() for part in formula.split(";") if part.strip()]
    letters = "".join(dict.fromkeys(c for c in formula if c in "nkmpvcqht"))
    if parts and len(parts[0]) == 1:
        return Move((), texts, letters, parts[0])
    return Move(tuple((part[0], part[1], part[2]) for part in parts), texts, letters)


_Moves = tuple[Annotated[Move, BeforeValidator(_read_move)], ...]


@dataclass(frozen=True)
class Situation:
    """What kind of story it is; see word_problems.yaml."""

    starts: _Moves
    moves: _Moves
    ends: _Moves
    noise: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    money: bool = False
    limit: int = 2000
    choices: Mapping[str, Numbers] = field(default_factory=dict)
    chain: bool = False


SITUATIONS = tuple(load_table("word_problems", dict[str, Situation]).values())
