"""Rewards of one sentence with all given words: how many it uses, and whether it is a sentence.

Papers: Lin et al., "CommonGen: A Constrained Text Generation Challenge for Generative Commonsense
Reasoning" (2020), whose coverage counts keywords by their lemmas.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from textenv.errors import ConfigError, RewardError
from textenv.examples import Episode
from textenv.rewards.base import FloatArray, RewardResult
from textenv.rewards.lexical.rouge import rouge2, rouge_l
from textenv.rewards.lexical.words import find_words
from textenv.rewards.style.inflection import contains, lemmas, phrase_of
from textenv.rewards.style.writing import split_sentences, variety

# Commas and semicolons of other scripts among them.
_SEPARATORS = re.compile("[,;#|\n、，；،؛፣᠂߸]")
_FREE = 0.15  # what a sentence with all keywords earns however far from the references
_COMMA = re.compile("[,、，،፣᠂߸]")


def split_concepts(text: str) -> tuple[str, ...]:
    """Returns the keywords in a text: apart at commas or "#" if it has any, else at spaces."""
    parts = _SEPARATORS.split(text) if _SEPARATORS.search(text.strip()) else text.split()
    return tuple(part for part in (part.strip() for part in parts) if part)


def keywords_of(episode: Episode, reward: str) -> tuple[tuple[str, ...], ...]:
    """Returns the keywords that an episode asks for, each as its words; raises if there is none.

    They are the metadata "concepts" or, for a prompt given by hand, the prompt.
    """
    example = episode.example
    concepts = example.metadata.get("concepts") or example.prompt
    concepts = split_concepts(concepts) if isinstance(concepts, str) else concepts
    phrases = tuple(filter(None, map(phrase_of, concepts)))
    if not phrases:
        raise RewardError(
            f"Reward '{reward}' looks for keywords, and example '{example.id}' has none: neither a "
            "list 'concepts' in its metadata nor words in its prompt."
        )
    return phrases


def _coverage(
    episodes: Sequence[Episode], name: str, fixed: tuple[tuple[str, ...], ...] = ()
) -> FloatArray:
    total = np.zeros(len(episodes))
    for i, episode in enumerate(episodes):
        words, keywords = find_words(episode.response), fixed or keywords_of(episode, name)
        total[i] = sum(contains(words, keyword) for keyword in keywords) / len(keywords)
    return total


@dataclass(frozen=True)
class Coverage:
    """The share of the keywords that the response uses, in any of their forms; in [0, 1].

    "runs" and "ran" use "run" (see `textenv.rewards.style.inflection`). It asks for no sentence:
    the bare list of keywords scores 1. Pay it with other rewards, or pay `keyword_sentence`.

    Attributes:
        keywords: Words that every response must use; by default each example's own keywords, its
            metadata "concepts" or the words of its prompt.
    """

    keywords: Sequence[str] | None = None
    name: ClassVar[str] = "coverage"

    def __post_init__(self) -> None:
        given = self.keywords
        if given is not None and (
            isinstance(given, str) or not given or not all(map(phrase_of, map(str, given)))
        ):
            raise ConfigError(
                f"The 'keywords' of reward 'coverage' are a list of words, not {given!r}."
            )

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        fixed = tuple(phrase_of(str(keyword)) for keyword in self.keywords or ())
        total = _coverage(episodes, self.name, fixed)
        return RewardResult(total, {self.name: total})


@dataclass(frozen=True)
class KeywordSentence:
    """One sentence with all keywords; in [0, 1], and 1 for any of the references that has them all.

    The product of three components: "coverage", as `Coverage`; "form", which falls when there is
    more than one sentence, hardly a word beside the keywords, keywords joined by nothing but "and",
    or words over and over; and 0.15 + 0.85 closeness to the nearest reference, the mean of "rougeL"
    and "rouge2".

    The bare list of keywords scores 0, with "and" or commas, too, and so does the prompt. Keywords
    joined by prepositions ("the dog with the park in the frisbee"), or listed at the end of a stock
    phrase ("We saw it: dog frisbee catch park"), share few pairs of words with a reference, which
    keeps them below 0.5.
    """

    name: ClassVar[str] = "keyword_sentence"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        components = {
            "coverage": _coverage(episodes, self.name),
            "form": np.array([self._form(episode) for episode in episodes], np.float64),
            "rougeL": np.asarray(rouge_l()(episodes).total),
            "rouge2": np.asarray(rouge2()(episodes).total),
        }
        closeness = (components["rougeL"] + components["rouge2"]) / 2
        named = components["coverage"] * components["form"]
        return RewardResult(named * (_FREE + (1 - _FREE) * closeness), components)

    def _form(self, episode: Episode) -> float:
        keywords = {word for phrase in keywords_of(episode, self.name) for word in phrase}
        # A comma joins keywords as "and" does.
        words = find_words(_COMMA.sub(" and ", episode.response))
        is_keyword = [not keywords.isdisjoint(lemmas(word)) for word in words]
        pairs = zip(words, is_keyword, strict=True)
        n_own = sum(not given and word not in _INSTRUCTION for word, given in pairs)
        glue = min(1.0, 3 * n_own / len(keywords))
        n_sentences = max(1, len(split_sentences(episode.response)))
        return variety(words) * glue * _unlisted(words, is_keyword) / n_sentences


def _unlisted(words: Sequence[str], is_keyword: Sequence[bool]) -> float:
    """1 unless most keywords are joined to the next one by nothing but "and", "or" or a comma."""
    joined = gaps = 0
    gap: set[str] | None = None
    for word, keyword in zip(words, is_keyword, strict=True):
        if keyword:
            if gap is not None:
                gaps += 1
                joined += gap <= _JOINTS and not gap <= _ARTICLES
            gap = set()
        elif gap is not None:
            gap.add(word)
    return min(1.0, 2 * (1 - joined / gaps)) if gaps else 1.0


_ARTICLES = frozenset(("a", "an", "the"))
_JOINTS = _ARTICLES | {"and", "or"}
# The prompt's own words, so that copying the prompt gains nothing from them.
_INSTRUCTION = frozenset(("write", "one", "sentence", "with", "all", "of", "these", "words"))
