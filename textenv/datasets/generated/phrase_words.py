"""The words of the set "phrases", each in English, German and Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from textenv.datasets.generated.tables import load_table

Tense = Literal["present", "past", "future", "want"]
Spelled = tuple[str, str, str]  # English, German, Chinese


@dataclass(frozen=True)
class Subject:
    """Who acts; the pronoun takes its place in a second clause."""

    spelled: Spelled
    pronoun: Spelled
    person: int  # column of the German verb: 0 ich, 1 du, 2 er/sie, 3 wir/sie


@dataclass(frozen=True)
class Verb:
    """What is done, with the tenses, places and reasons that suit it."""

    english: tuple[str, str, str]  # base, third person, past
    german: tuple[str, str, str, str, str]  # ich, du, er, infinitive (also wir), participle
    chinese: str
    tenses: tuple[Tense, ...] = ("present", "past", "future", "want")
    places: str = "tio"  # the letters of the places where it can happen, or "" for none
    needs_machine: bool = False
    because: tuple[str, ...] = ()
    because_not: tuple[str, ...] = ()


@dataclass(frozen=True)
class Noun:
    """What it is done to."""

    english: tuple[str, str]
    german: tuple[str, str]
    gender: Literal["m", "f", "n"]
    chinese: tuple[str, str]  # measure word, noun
    machine: bool = False  # can be repaired and cleaned
    large: bool = False  # is found only out of doors


@dataclass(frozen=True)
class Reason:
    """What "because" may say about the subject, or about the object."""

    about: Literal["subject", "object"]
    verb: Literal["be", "have"]
    spelled: Spelled


@dataclass(frozen=True)
class _Tables:
    """What phrases.yaml holds."""

    people: dict[Literal["she", "he", "they"], tuple[Spelled, ...]]
    verbs: tuple[Verb, ...]
    nouns: tuple[Noun, ...]
    adjectives: tuple[Spelled, ...]
    counts: dict[str, tuple[str, str]]
    places: dict[Literal["t", "i", "o"], tuple[Spelled, ...]]
    times: dict[Tense, tuple[Spelled, ...]]
    habits: tuple[Spelled, ...]
    reasons: dict[str, Reason]


_TABLES = load_table("phrases", _Tables)


def _pronoun(person: int, *spelled: str) -> Subject:
    english, german, chinese = spelled
    return Subject((english, german, chinese), (english, german, chinese), person)


_ICH, _HE, _SHE, _THEY = (
    _pronoun(0, "I", "ich", "我"),
    _pronoun(2, "he", "er", "他"),
    _pronoun(2, "she", "sie", "她"),
    _pronoun(3, "they", "sie", "他们"),
)
_YOU = _pronoun(1, "you", "du", "你")
_WE = _pronoun(3, "we", "wir", "我们")
WHO = Subject(("who", "wer", "谁"), _HE.pronoun, 2)

_OTHERS = tuple(
    Subject(spelled, like.pronoun, like.person)
    for like, people in (
        (_SHE, _TABLES.people["she"]),
        (_HE, _TABLES.people["he"]),
        (_THEY, _TABLES.people["they"]),
    )
    for spelled in people
)
ASKED_ABOUT = (*_OTHERS, _YOU, _HE, _SHE, _THEY)
SUBJECTS = (*ASKED_ABOUT, _ICH, _WE)

VERBS = _TABLES.verbs
NOUNS = _TABLES.nouns
ADJECTIVES = _TABLES.adjectives
SINGULAR = ("a", "the", "this")
COUNTS = _TABLES.counts
PLACES = tuple((place, kind) for kind, places in _TABLES.places.items() for place in places)
TIMES: dict[Tense, tuple[Spelled, ...]] = {**_TABLES.times, "want": _TABLES.times["future"]}
HABITS = _TABLES.habits
REASONS = _TABLES.reasons
