"""Guards against texts that overlap metrics pay for and people do not: denials, copies, lists.

Each is a factor for a product with such a metric: it is 1 for almost all human texts, and 0 for
what it guards against. Alone it says nothing of quality.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.best_over_references import BestOverReferences
from textenv.rewards.lexical.words import find_words, has_han
from textenv.rewards.options import check_count, check_share
from textenv.rewards.style.inflection import lemmas
from textenv.rewards.style.writing import content_words, glue, variety

_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|cannot|without|\w*n['\u2019\u02bc]t"
    # The apostrophe left out, these are hardly ever other words.
    r"|(?:ai|are|ca|could|did|do|does|had|has|have|is|must|need|should|was|were|wo|would)nt"
    r"|nicht|kein\w*|nie|niemals|niemand|nichts|weder|ohne)\b",
    re.IGNORECASE,
)
_CHINESE_NEGATION = re.compile("[不没沒无無非未]")


def count_negations(text: str) -> int:
    """Returns how many words of a text negate, in English, German or Chinese."""
    count = len(_NEGATION.findall(text))
    return count + len(_CHINESE_NEGATION.findall(text)) if has_han(text) else count


def negation_agreement() -> BestOverReferences[int]:
    """1 if the response negates as many times as one of the references, else 0.

    For answers, captions and short summaries; it knows no meaning, so "absent" for "not present"
    counts as a disagreement. On SciTLDR, 15 of 16 human summaries agree with one of the others.
    """
    return BestOverReferences("negation_agreement", count_negations, operator.eq)


@dataclass(frozen=True)
class Novelty:
    """1 if enough of the response is worded in its own way, and not as the source or the title is.

    The share of its n-grams that stand neither in the prompt nor in the metadata "context" and
    "title", over `enough`, at most 1; in [0, 1]. A text of fewer than n words has none: 0.

    Attributes:
        n: Number of words of an n-gram.
        enough: Share of new n-grams that earns the full score. Of SciTLDR's human summaries, 19
            of 20 have 0.4 or more of three words.
    """

    n: int = 3
    enough: float = 0.25
    name: ClassVar[str] = "novelty"

    def __post_init__(self) -> None:
        check_count(self.name, "n", self.n)
        check_share(self.name, "enough", self.enough)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total = np.array([self._score(episode) for episode in episodes], np.float64)
        return RewardResult(total, {self.name: total})

    def _score(self, episode: Episode) -> float:
        given = _given(episode, self.name)
        written = _grams(find_words(episode.response), self.n)
        if not written:
            return 0.0
        known = [_gram_set(text, self.n) for text in given]
        new = sum(not any(gram in grams for grams in known) for gram in written)
        return min(1.0, new / len(written) / self.enough)


@dataclass(frozen=True)
class Grounding:
    """1 if enough of the response's content words stand in the source; less below; in [0, 1].

    The share of the different content words, in any of their forms, that are in the prompt or in
    the metadata "context", over `enough`, at most 1; 0 where there are none. It stops texts that
    suit any source ("This paper proposes a method"), and sees neither order nor truth.

    Attributes:
        enough: Share that earns the full score. People paraphrase: a quarter of SciTLDR's human
            summaries have less than half.
    """

    enough: float = 0.5
    name: ClassVar[str] = "grounding"

    def __post_init__(self) -> None:
        check_share(self.name, "enough", self.enough)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total = np.array([self._score(episode) for episode in episodes], np.float64)
        return RewardResult(total, {self.name: total})

    def _score(self, episode: Episode) -> float:
        source = _source(episode, self.name)
        written = content_words(find_words(episode.response))
        if not written:
            return 0.0
        known = [_forms(text) for text in source]
        found = sum(any(not lemmas(word).isdisjoint(forms) for forms in known) for word in written)
        return min(1.0, found / len(written) / self.enough)


@dataclass(frozen=True)
class Prose:
    """1 for a text that reads like prose in English; less for lists of words and for repetition.

    The product of two components: "variety" of the words and of their neighbours, and "glue",
    the function words, of which a fifth of all words is enough (see
    `textenv.rewards.style.writing`). It sees no order: a shuffled sentence is prose to it.
    """

    name: ClassVar[str] = "prose"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        texts = [find_words(episode.response) for episode in episodes]
        parts = {
            "variety": np.array([variety(words) for words in texts], np.float64),
            "glue": np.array([glue(words) for words in texts], np.float64),
        }
        return RewardResult(parts["variety"] * parts["glue"], parts)


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


# Many responses share a source, and it is much longer than they are.
@lru_cache(maxsize=2048)
def _gram_set(text: str, n: int) -> frozenset[tuple[str, ...]]:
    return frozenset(_grams(find_words(text), n))


@lru_cache(maxsize=2048)
def _forms(text: str) -> frozenset[str]:
    return frozenset(form for word in find_words(text) for form in lemmas(word))


def _source(episode: Episode, reward: str) -> list[str]:
    """Returns the texts that an example shows; raises where there is none."""
    context = episode.example.metadata.get("context")
    texts = [episode.example.prompt, *([context] if isinstance(context, str) else [])]
    if not any(map(str.strip, texts)):
        raise RewardError(
            f"Reward '{reward}' compares with a source, and example '{episode.example.id}' has "
            "neither a prompt nor a text 'context' in its metadata. Give it one, or choose another "
            "reward."
        )
    return texts


def _given(episode: Episode, reward: str) -> list[str]:
    """Returns the texts that an example shows, or that give its answer away."""
    title = episode.example.metadata.get("title")
    return [*_source(episode, reward), *([title] if isinstance(title, str) else [])]
