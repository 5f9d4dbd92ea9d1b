"""Makes strategies: from known attacks, prompts and a policy's samples, and by mutation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from textenv.benchmark.adversary.offers import MOST, Offers
from textenv.benchmark.adversary.strategies import Line, Piece, abstract, pieces_of
from textenv.strict_yaml import load_yaml_file

Lines = tuple[Line, ...]  # a strategy's text, turn by turn
T = TypeVar("T")

_QUOTING = 8  # prompts whose sentences become templates
_LONGEST = 60  # pieces of a line
_CHANGES = ("insert", "replace", "delete", "join", "cross", "swap", "repeat", "reframe")
_WRAPPED = ("name 1", "number 1", "option 1", "said", "sentence 1")


@dataclass(frozen=True)
class Stock:
    """What stock.yaml holds."""

    texts: tuple[str, ...]
    frames: tuple[str, ...]
    loops: tuple[tuple[str, str, str, str], ...]
    shells: tuple[tuple[str, str], ...]
    dialogues: tuple[tuple[str, ...], ...]
    words: str
    themes: tuple[str, ...]


class Breeder:
    """Makes strategies from prompts and from other strategies."""

    def __init__(
        self, offers: Sequence[Offers], samples: Sequence[Line], rng: np.random.Generator
    ) -> None:
        self._offers, self._samples, self._rng = offers, samples, rng
        self._stock = load_yaml_file(Path(__file__).with_name("stock.yaml"), Stock)
        self._words = self._stock.words.split()
        self._themes = [theme.split() for theme in self._stock.themes]

    def seeds(self, max_turns: int) -> list[Lines]:
        """Returns the strategies that a search starts with."""
        parts = list(dict.fromkeys(name for offers in self._offers for name in offers.parts))
        families = {name for offers in self._offers for name, got in offers.families.items() if got}
        told: list[Lines] = [(pieces_of(text),) for text in self._stock.texts]
        told += [(sample,) for sample in self._samples]
        if max_turns > 1:
            told += [tuple((line,) for line in lines) for lines in self._stock.dialogues]
        lines = [
            *((f"{{{name}}}",) for name in parts),
            *(
                (*pieces_of(start), f"{{each {family}|{frame}|{between}}}", ".")
                for start, family, frame, between in self._stock.loops
                if family in families
            ),
            *(
                (start, f"{{{name}}}", end)
                for start, end in self._stock.shells
                for name in _WRAPPED
                if name in parts
            ),
            *(
                abstract(text, offers)
                for offers in self._offers[:_QUOTING]
                for name, text in offers.parts.items()
                if name.startswith("sentence ")
            ),
            *self._filled_frames(families),
        ]
        return list(dict.fromkeys([*told, *((line,) for line in lines)]))

    def mutate(self, lines: Lines, other: Lines) -> Lines:
        """Changes one to three things about one turn of a strategy, perhaps with another's help."""
        turn = int(self._rng.integers(len(lines)))
        line = list(lines[turn])
        for _ in range(int(self._rng.integers(1, 4))):
            line = self._change(line, list(other[-1]))
        return (*lines[:turn], tuple(line[:_LONGEST]), *lines[turn + 1 :])

    def _filled_frames(self, families: set[str]) -> list[Line]:
        """Fills the gaps of frames with the members of a family, or with words of a theme."""
        fillings = [
            *(
                [f"{{{family} {i + 1}}}" for i in range(MOST)]
                for family in (*sorted(families - {"field", "later field", "sentence"}), "value")
            ),
            *self._themes,
        ]
        found = []
        for frame in self._stock.frames:
            for filling in fillings:
                gaps = iter(filling)
                found.append(tuple(next(gaps) if w == "{}" else w for w in pieces_of(frame)))
        return found

    def _change(self, line: list[Piece], other: list[Piece]) -> list[Piece]:
        what = self._draw(_CHANGES)
        if what == "insert" or not line:
            place = int(self._rng.integers(len(line) + 1))
            return [*line[:place], self._piece(), *line[place:]]
        place = int(self._rng.integers(len(line)))
        if what == "replace":
            return [*line[:place], self._piece(), *line[place + 1 :]]
        if what == "delete":
            return [*line[:place], *line[place + 1 :]]
        if what == "join":
            return [*line, *other]
        if what == "cross":
            return [*line[:place], *other[int(self._rng.integers(len(other) + 1)) :]]
        if what == "swap":
            second = int(self._rng.integers(len(line)))
            line[place], line[second] = line[second], line[place]
            return line
        loops = [i for i, piece in enumerate(line) if piece.startswith("{each ")]
        if what == "reframe" and loops:
            place = self._draw(loops)
            line[place] = self._reframe(line[place])
            return line
        return [*line, *line[place:]]

    def _reframe(self, loop: Piece) -> Piece:
        """Puts a word into the frame of a loop, or takes one out."""
        head, frame, between = loop.split("|")
        words = frame.split()
        place = int(self._rng.integers(len(words) + 1))
        if self._rng.random() < 0.5 and not words[place - 1].startswith("{"):
            del words[place - 1]
        else:
            words.insert(place, self._draw(self._words))
        return f"{head}|{' '.join(words)}|{between}"

    def _piece(self) -> Piece:
        """Draws a word, a known text, or a part of the prompt."""
        offers = self._draw(self._offers)
        kind = self._rng.random()
        if kind < 0.25:
            return self._draw(self._words)
        if kind < 0.4:
            return self._draw(self._draw(self._themes))
        if kind < 0.5:
            return self._draw(self._stock.texts)
        if kind < 0.6:
            return self._draw(offers.parts.get("source", "").split() or self._words)
        if kind < 0.7 and self._samples:
            return self._draw(self._draw(self._samples) or self._words)
        return f"{{{self._draw([name for name in offers.parts if name != 'prompt'])}}}"

    def _draw(self, among: Sequence[T]) -> T:
        return among[int(self._rng.integers(len(among)))]
