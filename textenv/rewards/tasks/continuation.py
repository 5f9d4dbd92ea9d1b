"""Rewards of a continuation that is to take a direction: a sentiment, or a topic.

Both read the direction from the metadata "target", and share the guards of free text: a sentence
or so of length, words that vary, function words between them, and enough words and pairs of words
that are not the prompt's.

Papers: Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
Media Text" (2014); Ramamurthy et al., "Is Reinforcement Learning (Not) for Natural Language
Processing" (2022), whose IMDB task this follows with a lexicon in the place of a classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar, TypeVar

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.words import find_words
from textenv.rewards.options import check_count, check_share
from textenv.rewards.style.inflection import lemmas
from textenv.rewards.style.polarity import load_vader
from textenv.rewards.style.writing import content_words, glue, variety
from textenv.rewards.tasks.topics import TOPICS

_T = TypeVar("_T")

SENTIMENTS = {"positive": 1.0, "negative": -1.0}

_SHORTEST = 8  # words
# From this share of words that carry the target, up to _ALL, the form falls from 1 to 0.
_MANY, _ALL = 0.5, 0.8
# Shares that need not be the prompt's; a continuation goes on about what its opening names.
_NEW_PAIRS, _NEW_WORDS = 1 / 2, 1 / 3


@dataclass(frozen=True)
class Sentiment:
    """How far a continuation has the sentiment that was asked for, by VADER; in [0, 1].

    The product of two components: "sentiment", VADER's compound score of the continuation in the
    target's direction over `enough`, at most 1 and at least 0; and "form", the guards. A further
    component is "compound", VADER's score itself, in [-1, 1]. Since enough is enough, heaping up
    praise does not pay.

    A bare list of charged words, a word or sentence over and over, and the prompt copied, in any
    order of its words, get little or nothing. What it does not resist: one stock sentence that fits
    no opening in particular. Nothing here knows what the opening is about: use a KL penalty, or add
    a reward such as rougeL against the real continuation.

    Attributes:
        enough: Compound score that earns the full score, in (0, 1].
    """

    enough: float = 0.6
    name: ClassVar[str] = "sentiment"

    def __post_init__(self) -> None:
        check_share(self.name, "enough", self.enough)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        analyzer = load_vader()
        compound, sentiment, form = (np.zeros(len(episodes)) for _ in range(3))
        for i, episode in enumerate(episodes):
            sign = SENTIMENTS[_target(episode, self.name, SENTIMENTS)]
            words = find_words(episode.response)
            n_charged = sum(word in analyzer.lexicon for word in words)
            compound[i] = analyzer.polarity_scores(episode.response)["compound"]
            sentiment[i] = min(1.0, max(0.0, sign * compound[i] / self.enough))
            form[i] = _form(episode, words, n_charged)
        components = {"sentiment": sentiment, "form": form, "compound": compound}
        return RewardResult(sentiment * form, components)


@dataclass(frozen=True)
class Topic:
    """How far a continuation is about the topic that was asked for; in [0, 1].

    The product of three components: "topic", the distinct words of the topic's vocabulary over
    `enough`, at most 1; "purity", the topic's share of the words of all topics; and "form", the
    guards. The vocabularies are those of `textenv.rewards.tasks.topics`; inflected forms count.

    A bare list of words of the topic, the same ones over and over, and words of all topics at once
    get little or nothing. What it does not resist: one stock sentence about each topic.

    Attributes:
        enough: Number of distinct words of the topic that earns the full score.
    """

    enough: int = 3
    name: ClassVar[str] = "topic"

    def __post_init__(self) -> None:
        check_count(self.name, "enough", self.enough)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        topic, purity, form = (np.zeros(len(episodes)) for _ in range(3))
        for i, episode in enumerate(episodes):
            target = _target(episode, self.name, TOPICS)
            words = find_words(episode.response)
            found = [(word, topic_of(word)) for word in words]
            n_target = sum(said == target for _, said in found)
            n_topical = sum(said is not None for _, said in found)
            topic[i] = min(1.0, len({w for w, said in found if said == target}) / self.enough)
            purity[i] = n_target / n_topical if n_topical else 0.0
            form[i] = _form(episode, words, n_target)
        components = {"topic": topic, "purity": purity, "form": form}
        return RewardResult(topic * purity * form, components)


@lru_cache(maxsize=1 << 14)
def topic_of(word: str) -> str | None:
    """Returns the topic whose vocabulary has a lower-case word or its base form, if any has."""
    for bases in (frozenset([word]), lemmas(word)):  # "wound" is no form of "wind" here
        for topic, vocabulary in TOPICS.items():
            if not vocabulary.isdisjoint(bases):
                return topic
    return None


def _target(episode: Episode, reward: str, known: Sequence[str] | dict[str, Any]) -> str:
    target = episode.example.metadata.get("target")
    if target not in known:
        raise RewardError(
            f"Reward '{reward}' needs a target among {', '.join(known)}, and example "
            f"'{episode.example.id}' has {target!r}. Give its rows a 'label' or 'target', or the "
            "task the argument 'target'."
        )
    return str(target)


def _form(episode: Episode, words: Sequence[str], n_charged: int) -> float:
    """The guards of free text, of which `n_charged` words carry the target."""
    if not words:
        return 0.0
    told = find_words(" ".join(turn.text for turn in episode.turns if turn.role != "assistant"))
    novel = min(
        _novelty(set(pairwise(words)), set(pairwise(told)), _NEW_PAIRS),
        # The words of the opening carry its sentiment in any order.
        _novelty(content_words(words), content_words(told), _NEW_WORDS),
    )
    spread = np.clip((_ALL - n_charged / len(words)) / (_ALL - _MANY), 0.0, 1.0)
    length = min(1.0, len(words) / _SHORTEST)
    return float(length * variety(words) * glue(words) * novel * spread)


def _novelty(said: set[_T], told: set[_T], enough: float) -> float:
    """1 if that share of what is said, or more, has not been told before; less below."""
    return min(1.0, len(said - told) / len(said) / enough) if said else 0.0
