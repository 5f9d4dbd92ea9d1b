"""Rewards of a continuation that is to take a direction: a sentiment, or a topic.

Both read the direction from the metadata "target", and multiply how far it is taken by guards:
"form", which asks for a finished sentence in new words without loops; "fit", which asks for words
of the opening or of the real continuation; and closeness to the real continuation, without which
no text earns more than `OWN_WORDS`. For without it nothing tells a good continuation from one rule
that turns any opening into a text ("The ... is wonderful, and I loved every minute of it.").

Papers: Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
Media Text" (2014); Ramamurthy et al., "Is Reinforcement Learning (Not) for Natural Language
Processing" (2022), whose IMDB task this follows with a lexicon in the place of a classifier.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar, TypeVar

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import FloatArray, RewardResult
from textenv.rewards.lexical.rouge import rouge_l
from textenv.rewards.lexical.words import find_words
from textenv.rewards.options import check_count, check_share
from textenv.rewards.style.inflection import lemmas
from textenv.rewards.style.polarity import load_vader
from textenv.rewards.style.writing import content_words, glue, has_ended, unlooped, variety
from textenv.rewards.tasks.topics import TOPICS

_T = TypeVar("_T")

SENTIMENTS = {"positive": 1.0, "negative": -1.0}

_SHORTEST = 8  # words
# VADER knows a negation up to three words before what it negates, and misses these.
_DENIED = re.compile(
    r"(?:\bnot|n['\u2019]t|\bnever) (?:true|the case|a fact|right|correct) (?:that|to say)\b"
    r"|\b(?:false|untrue|wrong|a lie|no truth in|nonsense) (?:that|to say)\b"
    r"|\b(?:nobody|no one|none of us) (?:\w+ ){0,2}(?:that|would say)\b",
    re.IGNORECASE,
)
# From this share of words that carry the target, up to _ALL, the form falls from 1 to 0.
_MANY, _ALL = 0.5, 0.8
# Shares that need not be the prompt's; a continuation goes on about what its opening names.
_NEW_PAIRS, _NEW_WORDS = 1 / 2, 1 / 3
_UNFINISHED = 0.25  # what is left of a text that breaks off
_N_SHARED = 2  # content words of the opening, or of the real continuation
# Largest score of a text in its own words; what is above is paid for closeness to a reference.
OWN_WORDS = 0.48
# Two real continuations of the generated sets have a ROUGE-L of about 0.3, often of 0.4.
_CLOSE_FROM = 0.65


@dataclass(frozen=True)
class Sentiment:
    """How far a continuation has the sentiment that was asked for, by VADER; in [0, 1].

    The product of "tone", VADER's compound score of the continuation in the target's direction
    over `enough`, at most 1 and at least 0, and 0 after "it is not true that"; of "form" and "fit",
    the guards; and of 0.48 + 0.52 "closeness" to the real continuation. A further component is
    "compound", VADER's score itself, in [-1, 1]. Since enough is enough, heaping up praise does not
    pay.

    A text in its own words earns 0.48 at most, however good. That is also the most that one stock
    sentence, or a template filled from the opening, can earn. A list of charged words, a loop,
    a text that breaks off, and the prompt copied, in any order of its words, get little or nothing.

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
        compound, tone, form, fit = (np.zeros(len(episodes)) for _ in range(4))
        for i, episode in enumerate(episodes):
            sign = SENTIMENTS[_target(episode, self.name, SENTIMENTS)]
            words = find_words(episode.response)
            n_charged = sum(word in analyzer.lexicon for word in words)
            compound[i] = analyzer.polarity_scores(episode.response)["compound"]
            is_denied = _DENIED.search(episode.response) is not None
            tone[i] = 0.0 if is_denied else np.clip(sign * compound[i] / self.enough, 0.0, 1.0)
            form[i], fit[i] = _form(episode, words, n_charged), _fit(episode, words)
        closeness = _closeness(episodes)
        total = tone * form * fit * (OWN_WORDS + (1 - OWN_WORDS) * closeness)
        guards = {"form": form, "fit": fit, "closeness": closeness}
        return RewardResult(total, {"tone": tone, **guards, "compound": compound})


@dataclass(frozen=True)
class Topic:
    """How far a continuation is about the topic that was asked for; in [0, 1].

    The product of "words", the distinct words of the topic's vocabulary over `enough`, at most 1;
    of "purity", the topic's share of the words of all topics; of "form" and "fit", the guards; and
    of 0.48 + 0.52 "closeness" to the real continuation. The vocabularies are those of
    `textenv.rewards.tasks.topics`; inflected forms count.

    A text in its own words earns 0.48 at most, and so does one stock sentence about each topic. A
    list of words of the topic, the same ones over and over, words of all topics at once, and a text
    that breaks off get little or nothing.

    Attributes:
        enough: Number of distinct words of the topic that earns the full score.
    """

    enough: int = 3
    name: ClassVar[str] = "topic"

    def __post_init__(self) -> None:
        check_count(self.name, "enough", self.enough)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        amount, purity, form, fit = (np.zeros(len(episodes)) for _ in range(4))
        for i, episode in enumerate(episodes):
            target = _target(episode, self.name, TOPICS)
            words = find_words(episode.response)
            found = [(word, topic_of(word)) for word in words]
            n_target = sum(said == target for _, said in found)
            n_topical = sum(said is not None for _, said in found)
            amount[i] = min(1.0, len({w for w, said in found if said == target}) / self.enough)
            purity[i] = n_target / n_topical if n_topical else 0.0
            form[i], fit[i] = _form(episode, words, n_target), _fit(episode, words)
        closeness = _closeness(episodes)
        total = amount * purity * form * fit * (OWN_WORDS + (1 - OWN_WORDS) * closeness)
        guards = {"form": form, "fit": fit, "closeness": closeness}
        return RewardResult(total, {"words": amount, "purity": purity, **guards})


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
    whole = 1.0 if _is_finished(episode) else _UNFINISHED
    return float(length * variety(words) * unlooped(words) * glue(words) * novel * spread * whole)


def _is_finished(episode: Episode) -> bool:
    """Whether the last sentence ends, as far as the real continuations end theirs."""
    ends = any(map(has_ended, episode.example.references))
    return episode.stop_reason == "end_of_turn" and (has_ended(episode.response) or not ends)


def _fit(episode: Episode, words: Sequence[str]) -> float:
    """1 if enough content words are the opening's, or a real continuation's, in any form."""
    known = _forms(episode.example.prompt).union(*map(_forms, episode.example.references))
    n_shared = sum(not known.isdisjoint(lemmas(word)) for word in content_words(words))
    return min(1.0, (1 + n_shared) / (1 + _N_SHARED))


@lru_cache(maxsize=1 << 12)
def _forms(text: str) -> frozenset[str]:
    return frozenset(form for word in content_words(find_words(text)) for form in lemmas(word))


def _closeness(episodes: Sequence[Episode]) -> FloatArray:
    """How much closer to a real continuation than others of the same set are; in [0, 1]."""
    overlap = np.asarray(rouge_l()(episodes).total)
    return np.clip((overlap - _CLOSE_FROM) / (1 - _CLOSE_FROM), 0.0, 1.0)


def _novelty(said: set[_T], told: set[_T], enough: float) -> float:
    """1 if that share of what is said, or more, has not been told before; less below."""
    return min(1.0, len(said - told) / len(said) / enough) if said else 0.0
