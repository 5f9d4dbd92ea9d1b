"""The generated set "stories": openings of stories, each continued towards four topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.generated.procedural import GradedGenerator, Picker
from textenv.datasets.generated.tables import load_table
from textenv.datasets.generated.words import DAYS, FIRST_NAMES, LAST_NAMES, MONTHS, TOWNS, WOMEN


@dataclass(frozen=True)
class _Tables:
    """What stories.yaml holds."""

    places: tuple[str, ...]
    starts: tuple[str, ...]
    openings: tuple[str, ...]
    lines: dict[str, tuple[str, ...]]


_TABLES = load_table("stories", _Tables)
LINES = _TABLES.lines
_TOPICS = tuple(LINES)


class StoriesGenerator(GradedGenerator):
    """Rows for `ContinueTask`: "opening", "target" and a "continuation" towards four topics.

    Attributes:
        difficulty: Subject of the opening: the target ("easy"), nothing in particular
            ("medium"), or another topic, to be left ("hard").
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a story; its opening decides the split."""
        picker = Picker(rng)
        pick = picker.pick
        topics = picker.distinct(_TOPICS, 4)
        target = pick(topics)
        first, other = picker.distinct(FIRST_NAMES, 2)
        woman = first in WOMEN
        slots = {
            "name": first,
            "last": pick(LAST_NAMES),
            "he": "she" if woman else "he",
            "He": "She" if woman else "He",
            "his": "her" if woman else "his",
            "His": "Her" if woman else "His",
            "other": other,
            "day": pick(DAYS),
            "month": pick(MONTHS),
            "town": pick(TOWNS),
            "place": pick(_TABLES.places),
        }
        lines = {topic: picker.distinct(LINES[topic], 3) for topic in topics}
        opening = f"{pick(_TABLES.starts)} {pick(_TABLES.openings)}"
        if self.difficulty != "medium":
            others = tuple(topic for topic in topics if topic != target)
            about = target if self.difficulty == "easy" else pick(others)
            opening = f"{opening} {lines[about][0]}"
        opening = opening.format_map(slots)
        continuation = {
            topic: f"{second} {third}".format_map(slots)
            for topic, (_, second, third) in lines.items()
        }
        return opening, {"opening": opening, "target": target, "continuation": continuation}
