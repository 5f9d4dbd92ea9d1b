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
from textenv.datasets.generated.procedural import Difficulty, Picker, check_difficulty
from textenv.datasets.generated.words import (
    DAYS,
    FIRST_NAMES,
    JOBS,
    LAST_NAMES,
    MONTHS,
    TOWNS,
    split_words,
)

_TITLES = (
    split_words(
        "Seventh Northern Paper Glass Winter Midnight Blue Hidden Other Second Wooden Yellow "
        "Narrow Distant Autumn Copper"
    ),
    split_words(
        "House Road Letter Island Garden Mirror River Station Door Window Bridge Harbor Map Clock "
        "Train Tower Room Coast Village Key"
    ),
)
# Without what VADER's lexicon takes for praise or blame.
_FIRST_NAMES = tuple(name for name in FIRST_NAMES if name != "Grace")
_LAST_NAMES = tuple(name for name in LAST_NAMES if name != "Grant")
_JOBS = tuple(job for job in JOBS if job != "cleaner")
_TOWNS = tuple(town for town in TOWNS if town != "Warsaw")
_WORKS = ("film", "series", "novel", "play", "radio drama", "documentary", "short story", "musical")
_HEROES = (*_JOBS, "clerk", "student", "widow", "postman", "librarian", "young woman", "old man")
_PLOTS = (
    "returns to {town}",
    "moves into a house in {town}",
    "finds a letter from {town}",
    "takes a train to {town}",
    "meets a stranger in {town}",
    "inherits a farm near {town}",
    "opens a small shop in {town}",
    "waits for a sister in {town}",
    "follows a map to {town}",
    "spends a winter in {town}",
)
_TURNS = (
    "and looks for {first}, a cousin nobody has seen since {month}.",
    "and learns that {first} has been living next door since {month}.",
    "and writes to {first} every week until {month}.",
    "and travels on with {first}, a {job}, in {month}.",
    "and is sent away by {first}, a {job}, in {month}.",
    "and runs into {first}, a {job} from the same village.",
)
_OPENINGS = (
    "{title} is {work} about {hero} who {plot}",
    "Last {day} I came across {title}, {work} in which {hero} {plot}",
    "{title}, {work} by {name}, begins when {hero} {plot}",
    "In {month} I spent an evening with {title}, {work} where {hero} {plot}",
    "A neighbor told me of {title}, {work} in which {hero} {plot}",
)
_RUMORS = {
    "positive": (
        "Everyone had called it wonderful.",
        "The posters promise a masterpiece.",
        "The papers had praised it as a great success.",
    ),
    "negative": (
        "Everyone had called it terrible.",
        "The papers had laughed at it as a failure.",
        "I had been warned that it was a disaster.",
    ),
}
_ASPECTS = split_words("acting music dialogue story cast ending pace writing language lighting")
_GOOD = split_words(
    "superb brilliant wonderful excellent delightful charming beautiful fantastic great amazing "
    "lovely impressive"
)
_BAD = split_words(
    "awful terrible dreadful horrible dull weak poor disappointing annoying pathetic"
)
_CLOSINGS = {
    "positive": (
        "I enjoyed every minute of it.",
        "I loved it, and so did {first}.",
        "I can recommend it to everyone.",
        "It made me happy for the rest of the week.",
        "{first} and I left with a smile.",
    ),
    "negative": (
        "It was a boring waste of {few} hours.",
        "I hated it, and so did {first}.",
        "I regret every minute that I gave to it.",
        "It made me angry for the rest of the week.",
        "{first} and I left in a bad mood.",
    ),
}
_VERDICTS = (
    "The {one} is {judged}, and {fact}.",
    "I found the {one} {judged}, and {fact}.",
    "To me the {one} seemed {judged}, and {fact}.",
)
_FACTS = (
    "the {two} is by {name}",
    "it runs for {minutes} minutes",
    "it has {few} parts of {minutes} minutes",
    "it was made in {town} in {year}",
    "it was first shown in {town}",
)
# Direction -> how the part, and then the whole, is judged.
_WAYS = {
    "positive": ("positive", "positive"),
    "negative": ("negative", "negative"),
    "praise, then blame": ("positive", "negative"),
    "blame, then praise": ("negative", "positive"),
}
_ADJECTIVES = {"positive": _GOOD, "negative": _BAD}


@dataclass(frozen=True)
class ReviewsGenerator:
    """Rows for `ContinueTask`: "opening", "target" and four ways of "continuation".

    Attributes:
        difficulty: Opinion of others that the opening reports: the same as the target ("easy"),
            none ("medium"), or the opposite ("hard").
    """

    difficulty: Difficulty = "medium"

    def __post_init__(self) -> None:
        check_difficulty(self.difficulty)

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a review; its opening decides the split."""
        picker = Picker(rng)
        pick = picker.pick
        target, opposite = picker.distinct(("positive", "negative"), 2)
        slots = {
            "title": f"The {pick(_TITLES[0])} {pick(_TITLES[1])}",
            "work": with_article(pick(_WORKS)),
            "hero": with_article(pick(_HEROES)),
            "plot": pick(_PLOTS).format(town=pick(_TOWNS)),
            "day": pick(DAYS),
            "month": pick(MONTHS),
            "name": f"{pick(_FIRST_NAMES)} {pick(_LAST_NAMES)}",
        }
        opening = pick(_OPENINGS).format_map(slots)
        if self.difficulty != "medium":
            rumor = target if self.difficulty == "easy" else opposite
            opening = f"{pick(_RUMORS[rumor])} {opening}"
        turn = pick(_TURNS).format(first=pick(_FIRST_NAMES), month=pick(MONTHS), job=pick(_JOBS))
        ways = picker.distinct(tuple(_WAYS), len(_WAYS))
        judged = _judge(picker)
        continuation = {way: f"{turn} {judged[way]}" for way in ways}
        return opening, {"opening": opening, "target": target, "continuation": continuation}


def _judge(picker: Picker) -> dict[str, str]:
    """Writes the sentences in which the continuations differ, by direction."""
    pick = picker.pick
    one, two = picker.distinct(_ASPECTS, 2)
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
    slots["fact"] = pick(_FACTS).format_map(slots)
    verdict = pick(_VERDICTS)
    verdicts = {
        side: verdict.format(judged=pick(words), **slots) for side, words in _ADJECTIVES.items()
    }
    closings = {side: pick(texts).format_map(slots) for side, texts in _CLOSINGS.items()}
    return {way: f"{verdicts[part]} {closings[whole]}" for way, (part, whole) in _WAYS.items()}
