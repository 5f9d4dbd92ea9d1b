"""Readability of English text, from the lengths of its sentences and words.

With words per sentence w and syllables per word s:

    reading ease = 206.835 - 1.015 w - 84.6 s      grade = 0.39 w + 11.8 s - 15.59

Syllables are counted by rules on the spelling, which needs no dictionary: on the words of news,
abstracts and dialogues the rules agree with the CMU Pronouncing Dictionary on 98 of 100 words, and
their sum with its sum to 1 %.

Papers: Flesch, "A New Readability Yardstick" (1948); Kincaid et al., "Derivation of New Readability
Formulas for Navy Enlisted Personnel" (1975).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from textenv.errors import ConfigError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.options import check_number
from textenv.rewards.style.writing import split_sentences

_WORD = re.compile(r"[a-z]+(?:['’][a-z]+)*")
_VOWELS = re.compile(r"[aeiouy]+")
# Groups of vowels that are not heard: "make", "makes", "maked", "technique".
_SILENT = re.compile(
    r"(?<=[^aeiouy])e(?<![^aeiouylr]le)"
    r"(?=(?:ly|ful|less|ments?|ness|thing|times?|body|one|where|fore|ball|lines?)?$)"
    r"|(?<=[^aeiouysxzcg])(?<!ch)(?<!sh)(?<![^aeiouylr]l)es$"
    r"|(?<=[^aeiouytd])(?<![^aeiouylr]l)ed$"
    r"|(?<=[gq])ues?$"
)
# Syllables that share a group of vowels, or have none: "media", "radio", "layer", "prism".
_APART = re.compile(
    r"(?<![tscg])ia|(?<![tsclng])io|iu|(?<!p)eo(?!us)|(?<![gq])ua|uous|[aeou]ing|yi|iety"
    r"|(?<=[aeo])y(?=[aeiou])|sms?$|thms?$"
)


@lru_cache(maxsize=1 << 14)
def count_syllables(word: str) -> int:
    """Returns the syllables of an English word in lower case, at least 1."""
    heard = len(_VOWELS.findall(word)) - len(_SILENT.findall(word)) + len(_APART.findall(word))
    return max(1, heard)


class Readability:
    """Flesch's reading ease over 100, or how near the school grade is to a window; in [0, 1].

    Without a window, 0 is a reading ease of 0 or less (law), and 1 one of 100 or more (fables).
    With `grade`, the total is 1 for a Flesch-Kincaid grade in it, and falls in a line to 0 at
    `margin` grades away. Text without an English word gets 0. Components: "reading_ease", "grade",
    "words_per_sentence" and "syllables_per_word".

    It looks at lengths alone: "Go. Go. Go." reads with ease. A grade window is harder to game, and
    a "length" beside it harder yet.

    Args:
        grade: The lowest and the highest school grade that are wanted, such as [6, 8]; None to
            pay reading ease.
        margin: Distance from the window, in grades, at which the total is 0.

    Raises:
        ConfigError: The window is not valid, or the margin is not above 0.
    """

    name = "readability"

    def __init__(self, grade: Sequence[float] | None = None, margin: float = 4.0) -> None:
        if grade is not None:
            if not isinstance(grade, list | tuple) or len(grade) != 2:
                raise ConfigError(
                    f"'grade' of reward '{self.name}' is the lowest and the highest grade, such as "
                    f"[6, 8], not {grade!r}."
                )
            low, high = (check_number(self.name, "grade", one) for one in grade)
            if low > high:
                raise ConfigError(f"'grade' of reward '{self.name}' ends before it begins: {grade}")
            grade = (low, high)
        if check_number(self.name, "margin", margin) <= 0:
            raise ConfigError(f"'margin' of reward '{self.name}' is {margin}; use more than 0.")
        self.grade = grade
        self.margin = margin

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        lengths = np.zeros((len(episodes), 2))
        for i, episode in enumerate(episodes):
            lengths[i] = _lengths(episode.response)
        words, syllables = lengths.T
        has_text = words > 0
        ease = np.where(has_text, 206.835 - 1.015 * words - 84.6 * syllables, 0.0)
        grade = np.where(has_text, 0.39 * words + 11.8 * syllables - 15.59, 0.0)
        if self.grade is None:
            total = np.clip(ease / 100, 0.0, 1.0)
        else:
            low, high = self.grade
            off = np.maximum(np.maximum(low - grade, grade - high), 0.0)
            total = np.maximum(0.0, 1 - off / self.margin)
        components = {
            "reading_ease": ease,
            "grade": grade,
            "words_per_sentence": words,
            "syllables_per_word": syllables,
        }
        return RewardResult(np.where(has_text, total, 0.0), components)


def _lengths(text: str) -> tuple[float, float]:
    """Returns words per sentence and syllables per word; zeros for a text without a word."""
    # Letters lose their accents: "café" is "cafe".
    sentences = [
        _WORD.findall(unicodedata.normalize("NFKD", part).lower().translate(_NO_ACCENTS))
        for part in split_sentences(text)
    ]
    sentences = [words for words in sentences if words]
    words = [word for sentence in sentences for word in sentence]
    if not words:
        return 0.0, 0.0
    return len(words) / len(sentences), sum(map(count_syllables, words)) / len(words)


_NO_ACCENTS = dict.fromkeys(range(0x300, 0x370))
