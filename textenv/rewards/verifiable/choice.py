"""Whether a response names the right option of a multiple-choice question, and no other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.squad import answer_words
from textenv.rewards.thinking import answer_part

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_MARKER = re.compile(r"\banswer\s*(?:\bis\b\s*:?|[:=])", re.IGNORECASE)
# A letter by itself; as an apostrophe's "s" or "don't" it is none.
_LETTER = re.compile(r"(?<![\w'’])([A-Za-z])(?![\w'’])")
# What follows the words "a" and "I", where letters have punctuation or "and" behind them.
_WORD_AFTER = re.compile(r"[ \t]+(?!(?:and|or|is)\b)[a-z]")


def named_options(text: str, choices: Sequence[str]) -> list[frozenset[int]]:
    """Finds the options that a text names, by letter or in words.

    If the text has the words "answer is" or "answer:", what counts is what follows the last of
    them. A letter stands by itself, in either case ("B", "(b)", "B) baker", "option B"); "a" and
    "I" before another word are words. An option is named in words where its words stand in a row,
    compared as in SQuAD (case, punctuation and articles aside); of overlapping ones the longest.

    Letters within the words of an option ("vitamin C") name nothing.

    Returns:
        For each naming the indices it may mean: one, or several for words that options share.
    """
    text = _MARKER.split(text.replace("**", ""))[-1]
    named = []
    # An option without words of its own, such as "A" or "the", is named by its letter alone.
    worded = [choice for choice in choices if answer_words(choice)]
    options = "|".join(sorted(map(re.escape, worded), key=len, reverse=True)) or "(?!)"
    for match in _LETTER.finditer(re.sub(rf"(?i)(?<!\w)(?:{options})(?!\w)", "option", text)):
        letter = match[1].upper()
        is_word = letter in "AI" and _WORD_AFTER.match(match.string, match.end())
        if not is_word and LETTERS.index(letter) < len(choices):
            named.append(frozenset({LETTERS.index(letter)}))
    said = answer_words(text)
    spelled: dict[tuple[str, ...], set[int]] = {}
    for i, choice in enumerate(choices):
        spelled.setdefault(tuple(answer_words(choice)), set()).add(i)
    spelled.pop((), None)
    # The longest first; what it has taken is no longer there for others.
    for words in sorted(spelled, key=len, reverse=True):
        for start in range(len(said) - len(words) + 1):
            if tuple(said[start : start + len(words)]) == words:
                said[start : start + len(words)] = [""] * len(words)
                named.append(frozenset(spelled[words]))
    return named


@dataclass(frozen=True)
class Choice:
    """1 if the response names the right option, by letter or in words, and no other, else 0.

    `named_options` says what names an option; thoughts, in `<think>...</think>`, name none.
    Components: "choice" (the total) and "answered" (1 if the response names exactly one option,
    right or wrong).

    Resisted: several options at once ("A and B", "A B C D", all of them restated), a letter with
    the words of another option, and copies of the prompt. Not resisted: negation ("it is not B"
    names B), and any further text that names no option.
    """

    name: ClassVar[str] = "choice"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order; their metadata need "choices" and the index "correct"."""
        total, answered = np.zeros(len(episodes)), np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            metadata = episode.example.metadata
            choices, correct = metadata.get("choices", ()), metadata.get("correct")
            is_list = isinstance(choices, list | tuple) and all(isinstance(c, str) for c in choices)
            if not is_list or not isinstance(correct, int) or not 0 <= correct < len(choices):
                raise RewardError(
                    f"Reward '{self.name}' needs the metadata 'choices' (a list of texts) and "
                    f"'correct' (an index into it), which example '{episode.example.id}' has as "
                    f"{choices!r} and {correct!r}. Use it with a multiple-choice task, such as "
                    "TextQAChoice-v0."
                )
            named = named_options(answer_part(episode.response), choices)
            meant = frozenset.intersection(*named) if named else frozenset()
            answered[i] = len(meant) == 1
            total[i] = meant == {correct}
        return RewardResult(total, {self.name: total, "answered": answered})
