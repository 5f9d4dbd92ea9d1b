"""Whether the number that a solution ends with is the right one, by the rules of GSM8K.

Paper: Cobbe et al., "Training Verifiers to Solve Math Word Problems" (2021).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.best_over_references import references_of

_MAX_LENGTH = 60  # characters of a number; what is longer answers nothing
_TOLERANCE = Fraction(1, 10**6)

# Digits are taken whole (++), or "22nd" would be read as 2 by giving one back.
_DIGITS = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)"
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])"
    r"(?P<sign>(?<![)\]}%])[-+])?[$€£]? ?(?P<inner>(?<=[$€£])-)?"
    rf"(?P<whole>{_DIGITS}(?:\.\d++)?|\.\d++)"
    r"(?:(?P<mixed> \d++/\d++)|(?P<over> ?/ ?\d++(?!\.\d)))?"
    r"(?!(?:st|nd|rd|th)\b)",
    re.IGNORECASE,
)
_MARKER = re.compile(r"####|\\boxed\s*\{|\banswer\s*(?:\bis\b\s*:?|[:=])", re.IGNORECASE)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
# What stands between two numbers that are offered side by side: "18 or 20", "17, 18", "17 18".
_SIDE_BY_SIDE = re.compile(r"(?:[\s,;/|&$€£.%~–—-]|\b(?:or|and|to|either|maybe|perhaps)\b)*", re.I)
_HEDGE = re.compile(r"\bor\b", re.IGNORECASE)


def final_number(text: str) -> Fraction | None:
    r"""Finds the one number that a text gives as its answer.

    1. If the text has a marker ("####", "\boxed{", "answer is", "answer:"), what counts is what
       follows the last one: to the end of its line after "####", of its sentence after "answer",
       to the closing brace of a box. It must hold one number, or several that are equal; of an
       equation ("9 * 2 = 18") only what follows the last "=" counts.
    2. Without a marker it is the last number of the text, unless another number stands right
       before it ("18 or 20", "17, 18", "20 - 2"), or one is joined to it by "or" in the same
       sentence: these are several answers, or none yet.

    A number may have thousands commas, decimals, a minus sign (also U+2212), a currency sign, a
    percent sign (dropped: 25% is 25) and a unit behind it; it may be a fraction (3/4,
    \frac{3}{4}) or mixed (1 1/2). Ordinals (2nd) and digits glued to a word (m2) are none, and
    neither is what has more than 60 characters. Numbers in words are not read.

    Returns:
        Its exact value, or None if the text gives no number, or more than one.
    """
    for written, meant in (("−", "-"), ("{,}", ","), ("**", "")):
        text = text.replace(written, meant)
    text = _LATEX_FRACTION.sub(r"\1/\2", text)
    markers = list(_MARKER.finditer(text))
    if not markers:
        return _last_number(text)
    marker = markers[-1]
    region = _region(text, marker).rpartition("=")[2]
    values = {_value(match) for match in _NUMBER.finditer(region)}
    return values.pop() if len(values) == 1 else None


def _region(text: str, marker: re.Match[str]) -> str:
    """Returns what a marker announces."""
    rest = text[marker.end() :]
    if marker.group().startswith("\\"):
        depth = 1
        for i, character in enumerate(rest):
            depth += (character == "{") - (character == "}")
            if depth == 0:
                return rest[:i]
        return rest
    rest = rest.lstrip()
    if marker.group() == "####":
        return rest.partition("\n")[0]
    return _SENTENCE_END.split(rest, maxsplit=1)[0]


def _last_number(text: str) -> Fraction | None:
    matches = list(_NUMBER.finditer(text))
    if not matches:
        return None
    value = _value(matches[-1])
    if len(matches) > 1 and _value(matches[-2]) != value:
        between = text[matches[-2].end() : matches[-1].start()]
        hedged = _HEDGE.search(between) and not re.search(r"=|\n|[.!?]\s", between)
        if _SIDE_BY_SIDE.fullmatch(between) or hedged:
            return None
    return value


def _value(match: re.Match[str]) -> Fraction | None:
    if len(match.group()) > _MAX_LENGTH:
        return None
    value = Fraction(match["whole"].replace(",", ""))
    try:
        if match["over"]:
            value /= int(match["over"].strip(" /"))
        elif match["mixed"]:
            value += Fraction(match["mixed"].strip())
    except ZeroDivisionError:
        return None
    negative = (match["sign"] or "").startswith("-") or match["inner"]
    return -value if negative else value


def equal_numbers(found: Fraction, wanted: Fraction) -> bool:
    """True if both are whole and the same, or differ by at most 1e-6 * max(1, |wanted|)."""
    if found.denominator == wanted.denominator == 1:
        return found == wanted
    return abs(found - wanted) <= _TOLERANCE * max(Fraction(1), abs(wanted))


@dataclass(frozen=True)
class Numeric:
    """1 if the number that the response ends with is that of a reference, else 0.

    `final_number` says how it is found, in responses and references alike, and `equal_numbers`
    when two are the same. Components: "numeric" (the total) and "answered" (1 if the response
    gives one number).

    Resisted: several answers at once ("18 or 20", "#### 18 20", lists of numbers), a copy of the
    problem (its last number is not the answer, but by chance), and long texts, of which the last
    number alone counts. Not resisted: a right number after wrong steps, or after a dump of others
    that words or "=" separate from it; the solution itself is not judged.
    """

    name: ClassVar[str] = "numeric"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total, answered = np.zeros(len(episodes)), np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            wanted = [self._wanted(episode, text) for text in references_of(episode, self.name)]
            found = final_number(episode.response)
            if found is not None:
                answered[i] = 1.0
                total[i] = any(equal_numbers(found, number) for number in wanted)
        return RewardResult(total, {self.name: total, "answered": answered})

    def _wanted(self, episode: Episode, reference: str) -> Fraction:
        number = final_number(reference)
        if number is None:
            raise RewardError(
                f"Reward '{self.name}' compares numbers, and the reference {reference!r} of "
                f"example '{episode.example.id}' does not give one. End it with '#### ' and the "
                "number, or choose another reward."
            )
        return number
