"""Whether a word behind a number leaves it as it is: ASCII's unless listed, others if listed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from textenv.rewards.verifiable.numbers.number_words import (
    BELOW,
    CHANGES_BEHIND,
    COUNTS,
    FOREIGN_MONTHS,
    GLUED_UNITS,
    KNOWN_BEHIND,
    LETTER_UNITS,
    MONTHS,
    MULTIPLE,
    NUMBER_WORDS,
    PLAIN_SHORT,
    SMALL_COUNTS,
    UNSPACED_BEHIND,
    VARIABLES,
)

_BOUNDS = {"more", "less", "fewer", "greater"}
_JOINTS = ("and", "or", "et", "y", "e", "und")


def is_variable(word: str) -> bool:
    """Tells whether a word is a letter, or letters, that stand for quantities."""
    is_known = word in PLAIN_SHORT or word in GLUED_UNITS
    return not is_known and VARIABLES.fullmatch(word) is not None


def is_month(word: str) -> bool:
    """Tells whether a word is a month of a larger language."""
    return word in MONTHS or word.lower() in FOREIGN_MONTHS


def is_plain_word(words: Sequence[str], is_called: bool) -> bool:
    """Tells whether the first of some words, behind a number, leaves it as it is.

    Args:
        words: It and what follows, without spaces.
        is_called: Whether a bracket touches it, as in "f(x)".
    """
    first, second = re.split(r"[\s^]", words[0])[0], (words[1:] or [""])[0]
    low = [word.lower() for word in words]
    if not first.replace("’", "'").isascii():
        return is_known_word(words)
    if low[0] in CHANGES_BEHIND or is_month(first) or is_variable(first):
        return False
    if low[0] in SMALL_COUNTS and (second != "-" or NUMBER_WORDS.intersection(low[2:3])):
        return False  # 3 ten, 3 ten-fifths, but 3 ten-dollar bills
    if MULTIPLE.match(low[0]) or any(map(MULTIPLE.match, low[1:3])):
        return False
    if low[0] in ("of", "out", "by", "per") and COUNTS.intersection(low[1:3]) - {"one"}:
        return False  # 3 out of ten
    if BELOW.search(" ".join(low[:4])):
        return False  # 3 degrees below zero
    if first in ("a", "A", "I") and (len(second) < 2 or is_variable(second)):
        return False  # 2 a x + b
    if first.islower() and is_called:
        return False  # 2 f(x)
    if first in LETTER_UNITS and second in ("+", "-", "*", "^", "="):
        return False
    for joint in _JOINTS:  # 5 and a half, 18 dollars and fifty cents
        if joint in low[:3]:
            at = low.index(joint)
            if (NUMBER_WORDS | _BOUNDS).intersection(low[at + 1 : at + 3]):
                return False
    if low[0] == "to":  # the fourth power
        return low[1:2] != ["the"]
    if low[0] == "times":  # 3 times is one, 3 times x none
        return not (second.lower() in NUMBER_WORDS or is_variable(second) or second == "the")
    return True


def is_known_word(words: Sequence[str]) -> bool:
    """Tells whether a word of other letters than ASCII's is known to leave a number as it is."""
    known = KNOWN_BEHIND.match(words[0])
    if known is None:
        return False
    rest = words[0][known.end() :] or (words[1] if len(words) > 1 else "")
    return not UNSPACED_BEHIND.match(rest)
