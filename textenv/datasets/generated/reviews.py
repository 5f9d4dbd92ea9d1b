"""The generated set "reviews": openings of film and book reviews, each continued in four ways.

The opening tells what a work is about and ends in the middle of a sentence. Each continuation
judges a part of the work, and then all of it: as good and good, bad and bad, good and bad, or bad
and good. Beside that they are alike, so that none looks more like the others than the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.generated.grammar import with_article
from textenv.datasets.generated.procedural import GradedGenerator, Picker
from textenv.datasets.generated.tables import load_table
from textenv.datasets.generated.words import (
    DAYS,
    FIRST_NAMES,
    JOBS,
    LAST_NAMES,
    MONTHS,
    TOWNS,
)


@dataclass(frozen=True)
class _Tables:
    """What reviews.yaml holds."""

    titles: tuple[tuple[str, ...], tuple[str, ...]]
    works: tuple[str, ...]
    heroes: tuple[str, ...]
    plots: tuple[str, ...]
    turns: tuple[str, ...]
    openings: tuple[str, ...]
    rumors: dict[str, tuple[str, ...]]
    aspects: tuple[str, ...]
    adjectives: dict[str, tuple[str, ...]]
    closings: dict[str, tuple[str, ...]]
    verdicts: tuple[str, ...]
    facts: tuple[str, ...]


_TABLES = load_table("reviews", _Tables)
# Without what VADER's lexicon takes for praise or blame.
_FIRST_NAMES = tuple(name for name in FIRST_NAMES if name != "Grace")
_LAST_NAMES = tuple(name for name in LAST_NAMES if name != "Grant")
_JOBS = tuple(job for job in JOBS if job != "cleaner")
_TOWNS = tuple(town for town in TOWNS if town != "Warsaw")
_HEROES = (*_JOBS, *_TABLES.heroes)
# Direction -> how the part, and then the whole, is judged.
_WAYS = {
    "positive": ("positive", "positive"),
    "negative": ("negative", "negative"),
    "praise, then blame": ("positive", "negative"),
    "blame, then praise": ("negative", "positive"),
}


class ReviewsGenerator(GradedGenerator):
    """Rows for `ContinueTask`: "opening", "target" and four ways of "continuation".

    Attributes:
        difficulty: Opinion of others that the opening reports: the same as the target ("easy"),
            none ("medium"), or the opposite ("hard").
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a review; its opening decides the split."""
        picker = Picker(rng)
        pick = picker.pick
        target, opposite = picker.distinct(("positive", "negative"), 2)
        slots = {
            "title": f"The {pick(_TABLES.titles[0])} {pick(_TABLES.titles[1])}",
            "work": with_article(pick(_TABLES.works)),
            "hero": with_article(pick(_HEROES)),
            "plot": pick(_TABLES.plots).format(town=pick(_TOWNS)),
            "day": pick(DAYS),
            "month": pick(MONTHS),
            "name": f"{pick(_FIRST_NAMES)} {pick(_LAST_NAMES)}",
        }
        opening = pick(_TABLES.openings).format_map(slots)
        if self.difficulty != "medium":
            rumor = target if self.difficulty == "easy" else opposite
            opening = f"{pick(_TABLES.rumors[rumor])} {opening}"
        turn = pick(_TABLES.turns).format(
            first=pick(_FIRST_NAMES), month=pick(MONTHS), job=pick(_JOBS)
        )
        ways = picker.distinct(tuple(_WAYS), len(_WAYS))
        judged = _judge(picker)
        continuation = {way: f"{turn} {judged[way]}" for way in ways}
        return opening, {"opening": opening, "target": target, "continuation": continuation}


def _judge(picker: Picker) -> dict[str, str]:
    """Writes the sentences in which the continuations differ, by direction."""
    pick = picker.pick
    one, two = picker.distinct(_TABLES.aspects, 2)
    slots = {
        "one": one,
        "two": two,
        "few": pick(("two", "three", "four", "five", "six")),
        "minutes": str(85 + 5 * picker.below(18)),
        "name": f"{pick(_FIRST_NAMES)} {pick(_LAST_NAMES)}",
        "first": pick(_FIRST_NAMES),
        "town": pick(_TOWNS),
        "year": str(1900 + picker.below(120)),
    }
    slots["fact"] = pick(_TABLES.facts).format_map(slots)
    verdict = pick(_TABLES.verdicts)
    verdicts = {
        side: verdict.format(judged=pick(words), **slots)
        for side, words in _TABLES.adjectives.items()
    }
    closings = {side: pick(texts).format_map(slots) for side, texts in _TABLES.closings.items()}
    return {way: f"{verdicts[part]} {closings[whole]}" for way, (part, whole) in _WAYS.items()}
