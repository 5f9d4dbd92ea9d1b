"""TER: how few edits of words, and moves of phrases, make a response of a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.best_over_references import check_lengths, references_of
from textenv.rewards.lexical.ter_edits import count_edits
from textenv.rewards.lexical.words import (
    Rules,
    check_rules,
    marks_apart,
    marks_dropped,
    set_apart,
)

_MOST_CHARS = 2_000_000
# Words of the response times words of the reference: minutes beyond.
_MOST_PAIRS = 1_000_000


@dataclass(frozen=True)
class Ter:
    """1 less the translation edit rate, not below 0, against all references at once; in [0, 1].

    The rate is `sacrebleu.sentence_ter` over 100: the fewest edits to any of the references
    (insertions, deletions, substitutions, and moves of up to ten words as one edit), divided by the
    references' mean length in words. Moves are found greedily, as Tercom does. Words are set apart
    by white space, marks are part of them, and case does not count; characters of scripts without
    spaces are words. Beware: beside references of different lengths silence is paid, as its edits
    are those to the shortest one.

    Paper: Snover et al., "A Study of Translation Edit Rate with Targeted Human Annotation" (2006).

    Attributes:
        normalized: True sets punctuation apart from words, as sacrebleu's option of that name.
        no_punct: True drops punctuation.
        case_sensitive: True tells "The" from "the".
        rules: "unicode" for the table of scripts, "reference" for texts as they are.
    """

    name: ClassVar[str] = "ter"
    normalized: bool = False
    no_punct: bool = False
    case_sensitive: bool = False
    rules: Rules = "unicode"

    def __post_init__(self) -> None:
        check_rules(self.name, self.rules)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        from sacrebleu.tokenizers.tokenizer_ter import TercomTokenizer

        tokenize = TercomTokenizer(
            normalized=self.normalized, no_punct=self.no_punct, case_sensitive=self.case_sensitive
        )
        known: dict[str, list[str]] = {}

        def words(text: str) -> list[str]:
            if text not in known:
                known[text] = tokenize(self._prepared(text.rstrip())).split()
            return known[text]

        total = np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            references = references_of(episode, self.name)
            check_lengths((episode.response, *references), _MOST_CHARS, self.name)
            response = words(episode.response)
            rate = self._rate(response, [words(reference) for reference in references])
            total[i] = max(0.0, 1.0 - rate)
        # sacrebleu keeps the last 65,536 texts, of any length.
        TercomTokenizer.__call__.cache_clear()
        return RewardResult(total, {self.name: total})

    def _prepared(self, text: str) -> str:
        if self.rules == "reference":
            return text
        if self.no_punct:
            return marks_dropped(text)
        return marks_apart(text) if self.normalized else set_apart(text)

    def _rate(self, response: list[str], references: list[list[str]]) -> float:
        for reference in references:
            if len(response) * len(reference) > _MOST_PAIRS:
                raise RewardError(
                    f"Reward '{self.name}' cannot align {len(response):,} words with "
                    f"{len(reference):,}: it takes up to {_MOST_PAIRS:,} pairs of words. Shorten "
                    "the texts, or choose a reward such as 'rougeL'."
                )
        edits = min(count_edits(response, reference) for reference in references)
        length = sum(map(len, references)) / len(references)
        # Without a word in any reference, a response is all wrong if it has one.
        return edits / length if length else float(edits > 0)
