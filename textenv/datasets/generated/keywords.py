"""The generated set "keywords": the words of an everyday scene, and sentences that use them all.

A sentence has an action and its object, and as many more of who, what kind of person, in what
clothes, how, with what, where and when as there are keywords to use. Nothing but function words
stands beside the keywords. The other candidates drop one keyword, another, or both for words of
the same kinds, so that no candidate looks more like the others than the right one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.generated.grammar import gerund, past, sentence, third_person, with_article
from textenv.datasets.generated.keyword_scenes import TABLES, Action, Scene
from textenv.datasets.generated.procedural import GradedGenerator, Picker
from textenv.datasets.generated.words import COLORS
from textenv.errors import ConfigError

_COUNTS = {"easy": 4, "medium": 5, "hard": 7}
_FEWEST, _MOST = 4, 8
# Wrong tools for an action that has a single one.
_SPARE_TOOLS = ("lasso", "magnet", "pitchfork", "syringe")


@dataclass(frozen=True)
class KeywordsGenerator(GradedGenerator):
    """Rows for `KeywordsTask`: "concepts", three "references" and four "candidates".

    Attributes:
        difficulty: Number of words: 4 ("easy"), 5 ("medium") or 7 ("hard").
        n_keywords: Number of words, from 4 to 8, in place of the difficulty's.
    """

    n_keywords: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        n = self.n_keywords
        if n is not None and (isinstance(n, bool) or n not in range(_FEWEST, _MOST + 1)):
            raise ConfigError(f"n_keywords is {n!r}; a scene has {_FEWEST} to {_MOST} of them.")

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a scene; the keywords in alphabetical order decide the split."""
        picker = Picker(rng)
        verb, choices = picker.pick(_ACTIONS)
        n_slots = (self.n_keywords or _COUNTS[self.difficulty]) - 1
        extras = picker.distinct(tuple(choices)[1:], n_slots - 1)
        slots = {name: picker.pick(choices[name]) for name in ("object", *extras)}
        concepts = sorted((verb, *map(_keyword, slots.values())), key=str.lower)
        if len(set(concepts)) < len(concepts):
            return self.sample(rng)
        wording = picker.below(3)
        references = [_spell(verb, slots, (wording + i) % 3) for i in range(3)]
        row = {
            "concepts": concepts,
            "references": references,
            "candidates": _candidates(verb, slots, choices, wording, picker),
        }
        return ", ".join(concepts), row


def _slots_of(scene: Scene, action: Action) -> dict[str, tuple[str, ...]]:
    """Returns what every slot of a sentence about an action may hold; no tool where none fits."""
    slots = {
        "object": action.objects,
        "person": TABLES.people + scene.people,
        "adjective": TABLES.adjectives,
        "garment": TABLES.garments,
        "color": COLORS,
        "adverb": TABLES.adverbs,
        "place": scene.places,
        "time": TABLES.times,
        "tool": action.tools,
    }
    return {name: values for name, values in slots.items() if values}


# Every verb with its slots.
_ACTIONS = tuple(
    (action.verb, _slots_of(scene, action)) for scene in TABLES.scenes for action in scene.actions
)


def _keyword(value: str) -> str:
    return value.rpartition(" ")[2]


def _spell(verb: str, slots: Mapping[str, str], wording: int) -> str:
    """Writes the sentence of some slots, in one of three wordings: present, progressive, past."""
    person = " ".join(filter(None, (slots.get("adjective"), slots.get("person", "person"))))
    who = f"the {person}" if wording == 2 else with_article(person)
    clothes = " ".join(filter(None, (slots.get("color"), slots.get("garment", "")))).strip()
    if clothes:
        clothes = clothes if "garment" in slots else f"{clothes} shirt"
        who = f"{who} in {with_article(clothes)}"
    form = (third_person(verb), f"is {gerund(verb)}", past(verb))[wording]
    adverb = slots.get("adverb", "")
    middle = f"is {adverb} {gerund(verb)}" if wording == 1 and adverb else f"{adverb} {form}"
    tool = f"with {with_article(slots['tool'])}" if "tool" in slots else ""
    place, time = slots.get("place", ""), slots.get("time", "")
    parts = [who, middle.strip(), f"the {slots['object']}", tool, place, time]
    if wording == 1 and (time or place):
        front = time or place
        parts = [f"{front},", *parts[:4], place if time else ""]
    return sentence(" ".join(filter(None, parts)))


def _candidates(
    verb: str,
    slots: Mapping[str, str],
    choices: Mapping[str, tuple[str, ...]],
    wording: int,
    picker: Picker,
) -> tuple[str, ...]:
    """The right sentence and those without one keyword, another, or both; in random order."""
    known = {*slots.values(), verb}
    changes: list[dict[str, str]] = []
    for name in picker.distinct(tuple(slots), 2):
        others = tuple(value for value in choices[name] if value not in known)
        changes.append({name: picker.pick(others or _SPARE_TOOLS)})
    first, second = changes
    edits: tuple[dict[str, str], ...] = ({}, first, second, {**first, **second})
    return tuple(
        _spell(verb, {**slots, **edit}, wording) for edit in picker.distinct(edits, len(edits))
    )
