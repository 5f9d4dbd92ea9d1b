"""What the generated records are about: slots, their values, and the words that tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textenv.datasets.generated.procedural import Picker
from textenv.datasets.generated.words import (
    COLORS,
    DAYS,
    FIRST_NAMES,
    FOODS,
    JOBS,
    LAST_NAMES,
    MONTHS,
    PETS,
    TOWNS,
    WOMEN,
    split_words,
)


@dataclass(frozen=True)
class Kind:
    """One kind of record.

    Attributes:
        subject_slots: The slots that every record has, from which its subject is made.
        subjects: Parts of each of their values; a value is one of each part.
        template: The subject of the first sentence, over the subject's slots.
        values: Every value of the other slots.
        predicates: Two wordings of each of them, over {}; of a slot with "yes" and "no", what
            either is.
        numeric: Slots whose values are numbers, of which a wrong one is noticed by itself.
    """

    subject_slots: tuple[str, ...]
    subjects: tuple[tuple[tuple[str, ...], ...], ...]
    template: str
    values: Mapping[str, tuple[str, ...]]
    predicates: Mapping[str, tuple[str, str] | dict[str, tuple[str, str]]]
    numeric: frozenset[str]

    def draw_subject(self, picker: Picker) -> dict[str, str]:
        """Draws the values of the subject's slots."""
        return {
            slot: " ".join(picker.pick(part) for part in parts)
            for slot, parts in zip(self.subject_slots, self.subjects, strict=True)
        }

    def subject(self, slots: Mapping[str, str]) -> str:
        """Names what the record is about."""
        return self.template.format(*(slots[name] for name in self.subject_slots))

    def pronoun(self, slots: Mapping[str, str]) -> str:
        """Returns the word for it in later sentences."""
        if self is not PERSON:
            return "It"
        return "She" if slots["name"].split()[0] in WOMEN else "He"

    def predicate(self, slot: str, value: str, wording: int) -> str:
        """Tells a slot's value in one of two wordings."""
        forms = self.predicates[slot]
        if isinstance(forms, dict):
            return forms[value][wording]
        return forms[wording].format(value)


def _numbers(start: int, stop: int, step: int, unit: str = "{}") -> tuple[str, ...]:
    return tuple(unit.format(number) for number in range(start, stop, step))


_YES_NO = ("yes", "no")
_YEARS = _numbers(1950, 2025, 1)

RESTAURANT = Kind(
    subject_slots=("name",),
    subjects=(
        (
            split_words(
                "Blue Red Golden Silver Green Happy Hungry Lucky Old Royal Sleepy Little White "
                "Wild Copper Crooked Dancing Empty Friendly Iron"
            ),
            split_words(
                "Fox Mill Lion Table Spoon Garden Anchor Bear Bell Crown Dragon Eagle Kettle Lamp "
                "Oak Pepper Plate Rabbit Star Tiger Wheel Whale"
            ),
        ),
    ),
    template="{}",
    values={
        "food": split_words(
            "American Chinese French Greek Indian Italian Japanese Korean Mexican Spanish Thai "
            "Turkish"
        ),
        "prices": split_words("low moderate high"),
        "rating": _numbers(1, 6, 1, "{} out of 5"),
        "town": TOWNS,
        "area": ("city center", "old town", "west end", "business district", "suburbs"),
        "seats": _numbers(20, 180, 5),
        "opened": _YEARS,
        "closed": DAYS,
        "terrace": _YES_NO,
        "family friendly": _YES_NO,
    },
    predicates={
        "food": ("serves {} food", "offers {} dishes"),
        "prices": ("has {} prices", "is a place with {} prices"),
        "rating": ("has a rating of {}", "is rated {}"),
        "town": ("is a restaurant in {}", "can be found in {}"),
        "area": ("is located in the {}", "stands in the {}"),
        "seats": ("has {} seats", "offers {} seats to its guests"),
        "opened": ("opened in {}", "was founded in {}"),
        "closed": ("is closed on {}", "does not open on {}"),
        "terrace": {
            "yes": ("has a terrace", "comes with a terrace"),
            "no": ("has no terrace", "comes without a terrace"),
        },
        "family friendly": {
            "yes": ("is family friendly", "is a family friendly place"),
            "no": ("is not family friendly", "is not a family friendly place"),
        },
    },
    numeric=frozenset(("seats", "opened", "rating", "terrace", "family friendly")),
)

PERSON = Kind(
    subject_slots=("name",),
    subjects=((FIRST_NAMES, LAST_NAMES),),
    template="{}",
    values={
        "born": _YEARS[:50],
        "birthday month": MONTHS,
        "job": JOBS,
        "home": TOWNS,
        "pet": PETS,
        "car": COLORS,
        "favorite food": FOODS,
        "instrument": split_words("piano guitar violin drums flute trumpet harp cello"),
        "sport": split_words("tennis football golf rugby boxing hockey rowing judo"),
        "children": _numbers(2, 7, 1),
    },
    predicates={
        "born": ("was born in {}", "has {} as year of birth"),
        "birthday month": ("has a birthday in {}", "celebrates every {}"),
        "job": ("works as a {}", "is a {}"),
        "home": ("lives in {}", "has a house in {}"),
        "pet": ("has a {}", "takes care of a {}"),
        "car": ("drives a {} car", "owns a {} car"),
        "favorite food": ("loves to eat {}", "likes {} best"),
        "instrument": ("plays the {}", "practices the {} every day"),
        "sport": ("is a fan of {}", "spends every weekend on {}"),
        "children": ("has {} children", "is a parent of {} children"),
    },
    numeric=frozenset(("born", "children")),
)

MATCH = Kind(
    subject_slots=("home team", "away team"),
    subjects=((TOWNS[::2], ("United", "Rovers")), (TOWNS[1::2], ("City", "Wanderers"))),
    template="The match of {} against {}",
    values={
        "score": tuple(f"{home}-{away}" for home in range(6) for away in range(6)),
        "day": DAYS,
        "month": MONTHS,
        "spectators": _numbers(3100, 60000, 100),
        "weather": split_words("sunny rainy cloudy windy foggy"),
        "scorer": tuple(f"{first} {last}" for first in FIRST_NAMES[::3] for last in LAST_NAMES),
        "referee": tuple(f"{first} {last}" for first in FIRST_NAMES[1::3] for last in LAST_NAMES),
        "minutes": _numbers(90, 121, 1),
    },
    predicates={
        "score": ("ended {}", "had a final score of {}"),
        "day": ("took place on a {}", "was played on a {}"),
        "month": ("was held in {}", "was a highlight of {}"),
        "spectators": ("drew {} spectators", "was seen by {} spectators"),
        "weather": ("was played in {} weather", "saw {} weather"),
        "scorer": ("was decided by a goal of {}", "had its best scorer in {}"),
        "referee": ("was led by referee {}", "had {} as referee"),
        "minutes": ("lasted {} minutes", "was over after {} minutes"),
    },
    numeric=frozenset(("score", "spectators", "minutes", "scorer", "referee")),
)

PRODUCT = Kind(
    subject_slots=("model",),
    subjects=(
        (
            split_words(
                "Nova Astra Vega Orion Lyra Atlas Delta Sigma Omega Zenith Comet Falcon Pixel "
                "Spark Titan Vertex"
            ),
            _numbers(100, 990, 10, "X{}"),
        ),
    ),
    template="The {}",
    values={
        "type": split_words("phone laptop camera tablet radio drone printer watch"),
        "maker": tuple(f"{name} Works" for name in LAST_NAMES),
        "color": COLORS,
        "price": _numbers(20, 990, 5, "{} dollars"),
        "weight": _numbers(110, 990, 10, "{} grams"),
        "battery": _numbers(4, 49, 1, "{} hours"),
        "released": _YEARS[40:],
        "warranty": _numbers(2, 10, 1, "{} years"),
        "waterproof": _YES_NO,
    },
    predicates={
        "type": ("is a {}", "is a new kind of {}"),
        "maker": ("is made by {}", "comes from {}"),
        "color": ("is {}", "comes in {}"),
        "price": ("costs {}", "sells for {}"),
        "weight": ("weighs {}", "has a weight of {}"),
        "battery": ("runs for {} on one battery", "has a battery that lasts {}"),
        "released": ("was released in {}", "came out in {}"),
        "warranty": ("has a warranty of {}", "is under warranty for {}"),
        "waterproof": {
            "yes": ("is waterproof", "has a waterproof case"),
            "no": ("is not waterproof", "does not have a waterproof case"),
        },
    },
    numeric=frozenset(
        ("maker", "price", "weight", "battery", "released", "warranty", "waterproof")
    ),
)

KINDS = (RESTAURANT, PERSON, MATCH, PRODUCT)
