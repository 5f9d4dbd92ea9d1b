"""Repetition and distinct-n: whether a response says the same again. No reference is needed.

Words and punctuation marks count, in lower case; each character of a script without spaces is one.
Text without any scores 0, so that silence is no way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.words import tokens
from textenv.rewards.options import check_count


@dataclass(frozen=True)
class Repetition:
    """1 less the share of n-grams that were there before: seq-rep-n turned round; in [0, 1].

    A text of fewer than n words repeats none: 1.

    Paper: Welleck et al., "Neural Text Generation with Unlikelihood Training" (2020).

    Attributes:
        n: Number of words of an n-gram.
    """

    n: int = 4
    name: ClassVar[str] = "repetition"

    def __post_init__(self) -> None:
        check_count(self.name, "n", self.n)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total = np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            words = tokens(episode.response)
            n_grams = len(words) - self.n + 1
            if words:
                total[i] = _count_distinct(words, self.n) / n_grams if n_grams > 0 else 1.0
        return RewardResult(total, {self.name: total})


@dataclass(frozen=True)
class Distinct:
    """distinct-n: the different n-grams of a response over its words; in [0, 1].

    It is taken of each response by itself. Text of w different words has w - n + 1 n-grams and so
    scores 1 - (n - 1) / w: a longer one nears 1, until words must come back.

    Paper: Li et al., "A Diversity-Promoting Objective Function for Neural Conversation Models"
    (2016).

    Attributes:
        n: Number of words of an n-gram.
    """

    n: int = 2
    name: ClassVar[str] = "distinct"

    def __post_init__(self) -> None:
        check_count(self.name, "n", self.n)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total = np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            words = tokens(episode.response)
            if words:
                total[i] = _count_distinct(words, self.n) / len(words)
        return RewardResult(total, {self.name: total})


def _count_distinct(words: Sequence[str], n: int) -> int:
    return len(set(zip(*(words[i:] for i in range(n)), strict=False)))
