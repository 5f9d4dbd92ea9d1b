"""Everyday scenes for keyword sentences: who does what to what, with what, and where."""

from __future__ import annotations

from dataclasses import dataclass

from textenv.datasets.generated.tables import load_table


@dataclass(frozen=True)
class Action:
    """A verb and what goes with it."""

    verb: str  # its base form
    objects: tuple[str, ...]  # words that may follow "the"; one word each
    tools: tuple[str, ...] = ()  # words that may follow "with a"


@dataclass(frozen=True)
class Scene:
    """Actions that happen in one kind of place."""

    people: tuple[str, ...]  # those who act, besides the people of every scene
    places: tuple[str, ...]  # phrases whose last word is the keyword
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


TABLES = load_table("keywords", _Tables)
