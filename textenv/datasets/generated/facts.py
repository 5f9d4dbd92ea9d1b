"""The generated set "facts": people, two facts about each, and one question.

Everybody in a context has the same two attributes, each with another value, so that the kind of
thing asked for ("a town") never gives the answer away: it must be tied to the right person. The
values that the others have are the wrong answers to choose from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.generated.procedural import GradedGenerator, Picker
from textenv.datasets.generated.tables import load_table
from textenv.datasets.generated.words import FIRST_NAMES, WOMEN

_MOST_OPTIONS = 4
_SUBJECTS = ("", "", "", "My friend ", "My cousin ", "My neighbor ")


@dataclass(frozen=True)
class _Attribute:
    """One kind of fact about a person; see facts.yaml."""

    values: tuple[str, ...]
    verbs: tuple[str, ...]
    questions: tuple[str, ...]
    reverse: tuple[str, ...]


_ATTRIBUTES = tuple(load_table("facts", dict[str, _Attribute]).values())


@dataclass(frozen=True)
class _Level:
    """How hard a question is."""

    people: tuple[int, int]  # the fewest and the most people in a context
    lengths: tuple[int, ...]  # sentences in a context: one or two for each of the people
    reverse_percent: int = 25  # share of questions that ask for the person
    hop_percent: int = 0  # share of the others that name the person by the other attribute


_LEVELS: Mapping[str, _Level] = {
    "easy": _Level((2, 2), (2, 3), reverse_percent=0),
    "medium": _Level((3, 4), (4, 5, 6)),
    "hard": _Level((5, 6), (8, 9, 10), hop_percent=60),
}


@dataclass(frozen=True)
class _Facts:
    """A context with a question."""

    context: str
    question: str
    answer: str  # a word or two of the context
    options: tuple[str, ...]  # the right answer and those of the others, in the context's order


def _draw_facts(picker: Picker, level: _Level) -> _Facts:
    fewest, most = level.people
    n_people = fewest + picker.below(most - fewest + 1)
    people = picker.distinct(FIRST_NAMES, n_people)
    attributes = picker.distinct(_ATTRIBUTES, 2)
    values = [picker.distinct(attribute.values, n_people) for attribute in attributes]
    # Whoever is in `split` gets a sentence for each attribute, the others one for both.
    split = picker.distinct(tuple(range(n_people)), picker.pick(level.lengths) - n_people)
    sentences, last_sentences = [], []
    for i, name in enumerate(people):
        first, second = picker.distinct((0, 1), 2)
        told = [picker.pick(attributes[k].verbs).format(value=values[k][i]) for k in (0, 1)]
        opening = f"{picker.pick(_SUBJECTS)}{name} {told[first]}"
        if i not in split:
            sentences.append(f"{opening} and {told[second]}.")
            continue
        sentences.append(f"{opening}.")
        if picker.below(2):
            sentences.append(f"{'She' if name in WOMEN else 'He'} {told[second]}.")
        else:
            last_sentences.append(f"{name} {told[second]}.")
    context = " ".join(sentences + last_sentences)

    asked, who = picker.below(2), picker.below(n_people)
    name, value = people[who], values[asked][who]
    if picker.below(100) < level.reverse_percent:
        question = picker.pick(attributes[asked].reverse).format(value=value)
        return _Facts(context, question, name, people)
    if level.hop_percent and picker.below(100) < level.hop_percent:
        known = picker.pick(attributes[1 - asked].verbs).format(value=values[1 - asked][who])
        name = f"the person who {known}"
    question = picker.pick(attributes[asked].questions).format(name=name)
    return _Facts(context, question, value, values[asked])


def _some_options(picker: Picker, facts: _Facts) -> tuple[str, ...]:
    """Draws the answer and at most three other options, in random order."""
    others = tuple(option for option in facts.options if option != facts.answer)
    wrong = picker.distinct(others, min(len(others), _MOST_OPTIONS - 1))
    return picker.distinct((facts.answer, *wrong), len(wrong) + 1)


class FactsGenerator(GradedGenerator):
    """Rows for `QATask`: a "context", a "question", its "answers", and "candidates".

    The answer is a word or two of the context.

    Attributes:
        difficulty: "easy" has 2 people, "medium" 3 or 4 in 4 to 6 sentences, "hard" 5 or 6 in 8 to
            10, and often names the person asked about by another fact ("the person who lives in
            Rome"), so that two facts have to be found.
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a context and a question; the context alone decides the split."""
        picker = Picker(rng)
        facts = _draw_facts(picker, _LEVELS[self.difficulty])
        # The people come in random order, and so does whoever is asked about: by context, the
        # options need no shuffling, which would draw from the stream.
        few = len(facts.options) <= _MOST_OPTIONS
        return facts.context, {
            "context": facts.context,
            "question": facts.question,
            "answers": facts.answer,
            "candidates": facts.options if few else _some_options(picker, facts),
        }
