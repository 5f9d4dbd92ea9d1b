"""Sentences with mistakes in them: doubled words, agreement, articles, capitals, spelling.

The wrong candidates have the mistakes left, other content, or both, so that none of the four looks
more like the others than the right one does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textenv.datasets.generated.grammar import third_person, with_article
from textenv.datasets.generated.keyword_scenes import TABLES
from textenv.datasets.generated.procedural import Picker
from textenv.datasets.generated.words import FIRST_NAMES, LAST_NAMES

_N_MISTAKES = (1, 2, 4)
_N_CONTENT = 3  # words of the content that differ in half of the candidates
_MAX_TRIES = 60
_ACTIONS = tuple(
    (scene, action, third_person(action.verb))
    for scene in TABLES.scenes
    for action in scene.actions
)
_SHORTEST_MISSPELLED = 5  # letters


def draw_fix(picker: Picker, level: int) -> dict[str, Any]:
    """Draws a sentence with 1, 2 or 4 mistakes, and three wrong ways of correcting it."""
    pick = picker.pick
    scene, action, verb = pick(_ACTIONS)
    named = picker.below(2) == 0
    name = f"{pick(FIRST_NAMES)} {pick(LAST_NAMES)}"
    tail = f"{pick(scene.places)} {pick(TABLES.times)}"
    things, people = picker.distinct(action.objects, 2), picker.distinct(TABLES.people, 4)
    kinds, adverbs = picker.distinct(TABLES.adjectives, 4), picker.distinct(TABLES.adverbs, 2)
    # The right words and those of the wrong content are drawn alike; where they differ, too.
    differs = picker.distinct((0, 1, 2, 3), _N_CONTENT)
    right, changed = (
        _sentence(
            name if named else f"{with_article(kinds[2])} {people[2]}",
            verb,
            adverbs[i * (0 in differs)],
            things[i * (1 in differs)],
            f"{with_article(kinds[i * (2 in differs)])} {people[i * (3 in differs)]}",
            tail,
        )
        for i in (0, 1)
    )
    made = _mistakes(right, changed, verb, _N_MISTAKES[level], picker)
    if made is None:
        return draw_fix(picker, level)
    left = _with(right, made)
    return {
        "source": left,
        "target": " ".join(right),
        "wrong": (left, " ".join(changed), _with(changed, made)),
    }


def _sentence(who: str, verb: str, adverb: str, thing: str, helper: str, tail: str) -> list[str]:
    return f"{who[0].upper()}{who[1:]} {adverb} {verb} the {thing} with {helper} {tail}.".split()


def _mistakes(
    right: list[str], changed: list[str], verb: str, n: int, picker: Picker
) -> dict[int, str] | None:
    """Draws n mistakes, by place, in words that two sentences share; None if they do not fit.

    Every other sentence has one doubled word, which makes it longer than the right one; the others
    make it shorter or leave its length, so that length does not tell a corrected sentence.
    """
    mistakes: dict[int, str] = {}
    kinds = [_doubled] if picker.below(2) else []
    for _ in range(_MAX_TRIES):
        i = picker.below(len(right))
        # Not next to another one, nor to a change of content: the edits would run into each other.
        if right[i] != changed[i] or not {i - 1, i, i + 1}.isdisjoint(mistakes):
            continue
        kind = kinds[0] if kinds else picker.pick(_KINDS)
        wrong = kind(right, i, verb, picker)
        if wrong is not None:
            kinds.clear()
            mistakes[i] = wrong
            if len(mistakes) == n:
                return mistakes
    return None


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
    if len(word) < _SHORTEST_MISSPELLED or not word.islower() or not word.isalpha():
        return None
    k = 1 + picker.below(len(word) - 3)
    made = f"{word[:k]}{word[k + 1]}{word[k]}{word[k + 2 :]}"
    return made if made != word else None


def _dropped(words: list[str], i: int, verb: str, picker: Picker) -> str | None:
    word = words[i]
    if len(word) < _SHORTEST_MISSPELLED or not word.islower() or not word.isalpha():
        return None
    k = 1 + picker.below(len(word) - 2)
    return word[:k] + word[k + 1 :]


_Kind = Callable[[list[str], int, str, Picker], str | None]
_KINDS: tuple[_Kind, ...] = (
    _disagreeing,
    _wrong_article,
    _small_letter,
    _swapped,
    _dropped,
    _dropped,
)
