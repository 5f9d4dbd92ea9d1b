"""Everyday scenes for keyword sentences: who does what to what, with what, and where."""

from __future__ import annotations

from dataclasses import dataclass

from textenv.datasets.generated.tables import load_table


@dataclass(frozen=True)
class Action:
    """A verb and what goes with it.

    Attributes:
        verb: The verb's base form.
        objects: Words that may follow "the"; one word each.
        tools: Words that may follow "with a"; may be empty.
    """

    verb: str
    objects: tuple[str, ...]
    tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """Actions that happen in one kind of place.

    Attributes:
        people: The people who act, besides `PEOPLE`.
        places: Phrases whose last word is the keyword.
        actions: The actions that happen there.
    """

    people: tuple[str, ...]
    places: tuple[str, ...]
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class _Tables:
    """What keywords.yaml holds."""

    people: tuple[str, ...]
    adjectives: tuple[str, ...]
    garments: tuple[str, ...]
    adverbs: tuple[str, ...]
    times: tuple[str, ...]
    scenes: tuple[Scene, ...]


_TABLES = load_table("keywords", _Tables)

PEOPLE = _TABLES.people
ADJECTIVES = _TABLES.adjectives
GARMENTS = _TABLES.garments
ADVERBS = _TABLES.adverbs
TIMES = _TABLES.times
SCENES = _TABLES.scenes
