"""The generated question-answering set "facts": a few people, what is so of each, one question.

Everybody in a context has the same two attributes, each with another value, so that the kind of
thing asked for ("a town") never gives the answer away: it must be tied to the right person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.procedural import Picker
from textenv.datasets.words import (
    COLORS,
    DAYS,
    FIRST_NAMES,
    FOODS,
    JOBS,
    PETS,
    TOWNS,
    WOMEN,
    split_words,
)

_REVERSE_PERCENT = 25  # how often the question asks for the person
_LENGTHS = (4, 5, 6)  # sentences in a context
_SUBJECTS = ("", "", "", "My friend ", "My cousin ", "My neighbor ")


@dataclass(frozen=True)
class _Attribute:
    """One thing that is so of a person.

    Attributes:
        values: What it may be.
        verbs: Verb phrases over {value}, for "{name} ..." and "... and ...".
        questions: Ask for the value, over {name}.
        reverse: Ask for the person, over {value}.
    """

    values: tuple[str, ...]
    verbs: tuple[str, ...]
    questions: tuple[str, ...]
    reverse: tuple[str, ...]


_ATTRIBUTES = (
    _Attribute(
        values=(*JOBS, "police officer", "shop owner", "ship captain", "opera singer"),
        verbs=("works as a {value}", "is a {value}", "has a job as a {value}"),
        questions=("What is the job of {name}?", "What does {name} work as?"),
        reverse=("Who works as a {value}?", "Who is the {value}?"),
    ),
    _Attribute(
        values=TOWNS,
        verbs=("lives in {value}", "has a small house in {value}", "moved to {value} last year"),
        questions=("Where does {name} live?", "Which town is the home of {name}?"),
        reverse=("Who lives in {value}?", "Whose home is in {value}?"),
    ),
    _Attribute(
        values=COLORS,
        verbs=("drives a {value} car", "has a {value} car", "bought a {value} car"),
        questions=("What color is the car of {name}?", "Which color of car does {name} have?"),
        reverse=("Who has the {value} car?", "Who owns a {value} car?"),
    ),
    _Attribute(
        values=(*FOODS, "apple pie", "fried eggs", "baked beans", "ice cream"),
        verbs=("likes to eat {value}", "loves {value}", "eats a lot of {value}"),
        questions=("What does {name} like to eat?", "Which food does {name} like?"),
        reverse=("Who likes to eat {value}?", "Who likes {value}?"),
    ),
    _Attribute(
        values=(*PETS, "guinea pig", "young owl", "little fox"),
        verbs=("has a {value}", "keeps a {value} at home", "takes care of a {value}"),
        questions=("What pet does {name} have?", "Which animal does {name} have?"),
        reverse=("Who has a {value}?", "Whose pet is a {value}?"),
    ),
    _Attribute(
        values=(*split_words("piano guitar violin drums flute trumpet harp cello"), "French horn"),
        verbs=("plays the {value}", "is learning the {value}", "is good at the {value}"),
        questions=("What does {name} play?", "Which instrument does {name} play?"),
        reverse=("Who plays the {value}?", "Who can play the {value}?"),
    ),
    _Attribute(
        values=(
            *split_words("tennis football golf rugby boxing"),
            "ice hockey",
            "water polo",
        ),
        verbs=("is a fan of {value}", "spends every weekend on {value}", "is very good at {value}"),
        questions=("What sport is {name} into?", "Which sport does {name} do?"),
        reverse=("Who is into {value}?", "Whose sport is {value}?"),
    ),
    _Attribute(
        values=DAYS,
        verbs=(
            "goes to the market on {value}",
            "visits the market on {value}",
            "buys things at the market on {value}",
        ),
        questions=("When does {name} go to the market?", "Which day is {name} at the market?"),
        reverse=("Who goes to the market on {value}?", "Who visits the market on {value}?"),
    ),
)


@dataclass(frozen=True)
class FactsGenerator:
    """Rows for `QATask`: a "context" of 4 to 6 sentences, a "question" and its "answers".

    The answer is a word or two of the context.
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a context and a question; the context alone decides the split."""
        picker = Picker(rng)
        n_people = 3 + picker.below(2)
        people = picker.distinct(FIRST_NAMES, n_people)
        attributes = picker.distinct(_ATTRIBUTES, 2)
        values = [picker.distinct(attribute.values, n_people) for attribute in attributes]
        # Whoever is in `split` gets a sentence for each attribute, the others one for both.
        split = picker.distinct(tuple(range(n_people)), picker.pick(_LENGTHS) - n_people)
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
        if picker.below(100) < _REVERSE_PERCENT:
            question, answer = picker.pick(attributes[asked].reverse).format(value=value), name
        else:
            question, answer = picker.pick(attributes[asked].questions).format(name=name), value
        return context, {"context": context, "question": question, "answers": answer}
