"""Guards against texts that overlap metrics pay for and people do not: denials, copies, lists.

Each is a factor for a product with such a metric: it is 1 for almost all human texts, and 0 for
what it guards against. Alone it says nothing of quality.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from textenv.errors import ConfigError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical import BestOverReferences
from textenv.rewards.rouge import rouge_words
from textenv.rewards.words import has_cjk
from textenv.rewards.writing import glue, variety

_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|without|\w+n['\u2019]t"
    r"|nicht|kein\w*|nie|niemals|niemand|nichts|weder|ohne)\b",
    re.IGNORECASE,
)
_CHINESE_NEGATION = re.compile("[不没沒无無非未]")


def count_negations(text: str) -> int:
    """Returns how many words of a text negate, in English, German or Chinese."""
    count = len(_NEGATION.findall(text))
    return count + len(_CHINESE_NEGATION.findall(text)) if has_cjk(text) else count


def negation_agreement() -> BestOverReferences[int]:
    """1 if the response negates as many times as one of the references, else 0.

    For answers, captions and short summaries; it knows no meaning, so "absent" for "not present"
    counts as a disagreement. On SciTLDR, 19 of 20 human summaries agree with one of the others.
    """
    return BestOverReferences("negation_agreement", count_negations, _equal)


def _equal(response: int, reference: int) -> float:
    return float(response == reference)


@dataclass(frozen=True)
class Novelty:
    """1 if enough of the response is worded in its own way, and not as the source or the title is.

    The share of its n-grams that stand neither in the prompt nor in the metadata "context" and
    "title", over `enough`, at most 1; in [0, 1]. A text of fewer than n words has none: 0.

    Attributes:
        n: Words of an n-gram.
        enough: The share of new n-grams that earns everything. Of SciTLDR's human summaries, 19
            of 20 have 0.4 or more of three words.
    """

    n: int = 3
    enough: float = 0.25
    name: str = "novelty"

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise ConfigError(f"'novelty' counts n-grams of n >= 1 words, not {self.n!r}.")
        number = isinstance(self.enough, int | float) and not isinstance(self.enough, bool)
        if not number or not 0 < self.enough <= 1:
            raise ConfigError(f"'novelty' takes an enough in (0, 1], not {self.enough!r}.")

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total = np.array([self._score(episode) for episode in episodes], np.float64)
        return RewardResult(total, {self.name: total})

    def _score(self, episode: Episode) -> float:
        written = self._grams(episode.response)
        if not written:
            return 0.0
        known = {gram for text in _given(episode) for gram in self._grams(text)}
        return min(1.0, sum(gram not in known for gram in written) / len(written) / self.enough)

    def _grams(self, text: str) -> list[tuple[str, ...]]:
        words = rouge_words(text)
        return [tuple(words[i : i + self.n]) for i in range(len(words) - self.n + 1)]


@dataclass(frozen=True)
class Prose:
    """1 for a text that reads like prose in English; less for lists of words and for repetition.

    The product of two components: "variety" of the words and of their neighbours, and "glue",
    the function words, of which a fifth of all words is enough (see `textenv.rewards.writing`).
    It sees no order: a shuffled sentence is prose to it.
    """

    name: str = "prose"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        texts = [rouge_words(episode.response) for episode in episodes]
        parts = {
            "variety": np.array([variety(words) for words in texts], np.float64),
            "glue": np.array([glue(words) for words in texts], np.float64),
        }
        return RewardResult(parts["variety"] * parts["glue"], parts)


def _given(episode: Episode) -> Iterable[str]:
    """Yields the texts that an example shows, or that give its answer away."""
    example = episode.example
    yield example.prompt
    for name in ("context", "title"):
        text = example.metadata.get(name)
        if isinstance(text, str):
            yield text
