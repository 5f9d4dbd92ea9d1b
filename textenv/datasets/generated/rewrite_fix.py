"""Sentences with mistakes in them: doubled words, agreement, articles, capitals, spelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textenv.datasets.generated.grammar import third_person
from textenv.datasets.generated.keyword_scenes import ADJECTIVES, ADVERBS, PEOPLE, SCENES, TIMES
from textenv.datasets.generated.procedural import Picker
from textenv.datasets.generated.words import FIRST_NAMES, LAST_NAMES

_N_MISTAKES = (1, 2, 4)
_ACTIONS = tuple(
    (scene, action, third_person(action.verb)) for scene in SCENES for action in scene.actions
)
_SHORTEST_SWAPPED = 5  # letters


def draw_fix(picker: Picker, level: int) -> dict[str, Any]:
    """Draws a sentence with 1, 2 or 4 mistakes, and three wrong ways of correcting it.

    Returns:
        "source", "target" and "wrong": one mistake left, another one made, the content changed.
    """
    pick = picker.pick
    scene, action, verb = pick(_ACTIONS)
    thing, other = picker.distinct(action.objects, 2)
    who = (
        f"{pick(FIRST_NAMES)} {pick(LAST_NAMES)}"
        if picker.below(2)
        else f"{_an(pick(ADJECTIVES))} {pick(PEOPLE + scene.people)}"
    )
    tail = f"{pick(scene.places)} {pick(TIMES)}"
    helper = f"with {_an(pick(ADJECTIVES))} {pick(PEOPLE)}"
    right = f"{who} {pick(ADVERBS)} {verb} the {thing} {helper} {tail}.".split()
    right[0] = right[0].capitalize()
    changed = [f"{other}" if word == thing else word for word in right]

    mistakes: dict[int, str] = {}
    n = _N_MISTAKES[level] + 1
    while len(mistakes) < n:
        kind = pick(_KINDS)
        i = picker.below(len(right))
        wrong = kind(right, i, verb, picker)
        # Not next to another one: the edits would run into each other.
        if wrong is not None and not {i - 1, i, i + 1} & mistakes.keys():
            mistakes[i] = wrong
    spare, *made = mistakes.items()
    return {
        "source": _with(right, dict(made)),
        "target": " ".join(right),
        "wrong": (_with(right, dict(made[:1])), _with(right, dict([spare])), " ".join(changed)),
    }


def _an(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _with(words: list[str], mistakes: dict[int, str]) -> str:
    return " ".join(mistakes.get(i, word) for i, word in enumerate(words))


def _doubled(words: list[str], i: int, verb: str, picker: Picker) -> str | None:
    return f"{words[i]} {words[i]}" if words[i].islower() and words[i].isalpha() else None


def _disagreeing(words: list[str], i: int, verb: str, picker: Picker) -> str | None:
    if words[i] != verb:
        return None
    if verb.endswith("ies"):
        return f"{verb[:-3]}y"
    return verb[:-2] if verb.endswith(("ches", "shes", "sses", "xes")) else verb[:-1]


def _wrong_article(words: list[str], i: int, verb: str, picker: Picker) -> str | None:
    return {"a": "an", "an": "a", "A": "An", "An": "A"}.get(words[i])


def _small_letter(words: list[str], i: int, verb: str, picker: Picker) -> str | None:
    return words[i].lower() if words[i][0].isupper() and len(words[i]) > 2 else None


def _swapped(words: list[str], i: int, verb: str, picker: Picker) -> str | None:
    word = words[i]
    if len(word) < _SHORTEST_SWAPPED or not word.islower() or not word.isalpha():
        return None
    k = 1 + picker.below(len(word) - 3)
    made = f"{word[:k]}{word[k + 1]}{word[k]}{word[k + 2 :]}"
    return made if made != word else None


_Kind = Callable[[list[str], int, str, Picker], str | None]
_KINDS: tuple[_Kind, ...] = (_doubled, _disagreeing, _wrong_article, _small_letter, _swapped)
