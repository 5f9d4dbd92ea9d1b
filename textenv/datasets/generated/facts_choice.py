"""The generated set "facts-choice": people, three facts of one kind about each, and one question.

The three facts are alike (where somebody lives, works and was born), and so are their values: who
lives in Oslo works in Rome, and somebody else lives in Rome. A value stands in a context once for
each of the facts, at most. So neither what is near a name, nor what is near a verb, nor what comes
first, last or often is right more often than by chance. Only the name and the fact together tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.generated.procedural import GradedGenerator, Picker
from textenv.datasets.generated.tables import load_table
from textenv.datasets.generated.words import FIRST_NAMES, WOMEN

_PLACES = (0, 1, 2)  # of the facts of a kind


@dataclass(frozen=True)
class _Fact:
    """One thing that may be so of a person; see facts_choice.yaml."""

    verbs: tuple[str, ...]
    questions: tuple[str, ...]
    reverse: tuple[str, ...]


@dataclass(frozen=True)
class _Kind:
    """Three facts whose values are alike."""

    values: tuple[str, ...]
    facts: tuple[_Fact, _Fact, _Fact]


_KINDS = tuple(load_table("facts_choice", dict[str, _Kind]).values())


@dataclass(frozen=True)
class _Level:
    """How hard a question is."""

    people: tuple[int, ...]  # how many there may be in a context
    divided: tuple[int, ...]  # of how many of them one fact stands in a sentence of its own
    n_choices: int
    reverse_percent: int = 25  # share of questions that ask for the person
    hop_percent: int = 0  # share of the others that name the person by another fact


_LEVELS: Mapping[str, _Level] = {
    "easy": _Level((3,), (0, 1), 3, reverse_percent=0),
    "medium": _Level((4,), (0, 1, 2), 4),
    "hard": _Level((5, 6), (2, 3), 4, hop_percent=60),
}


class FactsChoiceGenerator(GradedGenerator):
    """Rows for `QAChoiceTask`: a "context", a "question", its "choices" and the right one's index.

    Attributes:
        difficulty: "easy" has 3 people and choices, "medium" 4 of both, "hard" 5 or 6 people, 4
            choices, and questions that often name the person by another fact ("the person who
            works in Rome"), so that two facts have to be found.
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a context and a question; the context alone decides the split."""
        picker = Picker(rng)
        level = _LEVELS[self.difficulty]
        kind, n = picker.pick(_KINDS), picker.pick(level.people)
        people = picker.distinct(FIRST_NAMES, n)
        values = _place_values(picker, kind, n)
        context = _tell(picker, kind, people, values, picker.pick(level.divided))
        question, answer, near, others = _ask(picker, kind, people, values, level)
        # The options that are the likeliest to be taken for the answer are always there.
        wrong = (*near, *picker.distinct(others, level.n_choices - 1 - len(near)))
        choices = picker.distinct((answer, *wrong), level.n_choices)
        return context, {
            "context": context,
            "question": question,
            "choices": choices,
            "answer": choices.index(answer),
        }


def _place_values(picker: Picker, kind: _Kind, n: int) -> list[tuple[str, ...]]:
    """Draws n values for n people, (people, facts): in no row and no column one stands twice."""
    values = picker.distinct(kind.values, n)
    rows = picker.distinct(tuple(range(n)), n)
    columns = picker.distinct(tuple(range(n)), len(_PLACES))
    return [tuple(values[(row + column) % n] for column in columns) for row in rows]


def _tell(
    picker: Picker,
    kind: _Kind,
    people: Sequence[str],
    values: Sequence[Sequence[str]],
    n_divided: int,
) -> str:
    """Tells the facts of all people, of some in two sentences."""
    divided = picker.distinct(tuple(range(len(people))), n_divided)
    sentences, last_sentences = [], []
    for i, name in enumerate(people):
        one, two, three = (
            picker.pick(kind.facts[k].verbs).format(value=values[i][k])
            for k in picker.distinct(_PLACES, len(_PLACES))
        )
        if i not in divided:
            sentences.append(f"{name} {one}, {two} and {three}.")
            continue
        sentences.append(f"{name} {one} and {two}.")
        if picker.below(2):
            sentences.append(f"{'She' if name in WOMEN else 'He'} {three}.")
        else:
            last_sentences.append(f"{name} {three}.")
    return " ".join(sentences + last_sentences)


def _ask(
    picker: Picker,
    kind: _Kind,
    people: tuple[str, ...],
    values: Sequence[tuple[str, ...]],
    level: _Level,
) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """Draws a question; returns it, the answer, the two options near it, and all others.

    Near a person are those of whom the same value is told as another fact; near a value are the
    person's own others.
    """
    who, asked = picker.below(len(people)), picker.pick(_PLACES)
    name, value, fact = people[who], values[who][asked], kind.facts[asked]
    if picker.below(100) < level.reverse_percent:
        question = picker.pick(fact.reverse).format(value=value)
        has_it = [value in own for own in values]
        near = [p for p, has in zip(people, has_it, strict=True) if has and p != name]
        others = [p for p, has in zip(people, has_it, strict=True) if not has]
        return question, name, tuple(near), tuple(others)
    if level.hop_percent and picker.below(100) < level.hop_percent:
        known = picker.pick(tuple(k for k in _PLACES if k != asked))
        told = picker.pick(kind.facts[known].verbs).format(value=values[who][known])
        name = f"the person who {told}"
    question = picker.pick(fact.questions).format(name=name)
    own = [one for one in values[who] if one != value]
    others = [row[asked] for row in values if row[asked] not in values[who]]
    return question, value, tuple(own), tuple(others)
