"""BLEU, chrF and chrF++ of single responses: n-grams of words and of characters, by sacrebleu."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from textenv.errors import ConfigError
from textenv.examples import Episode
from textenv.rewards.base import FloatArray, RewardResult
from textenv.rewards.lexical.best_over_references import check_lengths, references_of
from textenv.rewards.lexical.scripts import fold
from textenv.rewards.lexical.words import Rules, check_rules, marks_apart
from textenv.rewards.options import check_count

# Those that need no download and no further package.
_TOKENIZERS = ("13a", "intl", "char", "none", "zh")
# Their n-grams would need gigabytes, and minutes, beyond.
_MOST_CHARS = 2_000_000


@dataclass(frozen=True)
class Bleu:
    """Sentence BLEU in [0, 1], against all references at once.

    As `sacrebleu.sentence_bleu` (exponential smoothing, effective order), over 100. Its words are
    those of the "13a" tokenizer, after the characters of scripts without spaces, emojis, and the
    marks of other scripts than Latin were set apart; for Chinese they are those of "zh".

    Paper: Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation" (2002).

    Attributes:
        lowercase: True ignores case.
        tokenize: A tokenizer of sacrebleu, used on every text as it is: "13a", "intl", "char",
            "none" or "zh". None for the rule above.
        rules: "unicode" for the rule above, "reference" for "13a" on every text as it is.
    """

    name: ClassVar[str] = "bleu"
    lowercase: bool = False
    tokenize: str | None = None
    rules: Rules = "unicode"

    def __post_init__(self) -> None:
        check_rules(self.name, self.rules)
        if self.tokenize not in (None, *_TOKENIZERS):
            raise ConfigError(
                f"BLEU's option 'tokenize' is one of {', '.join(_TOKENIZERS)}; "
                f"not {self.tokenize!r}."
            )

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        from sacrebleu.metrics.bleu import BLEU

        as_it_is = self.rules == "reference" or self.tokenize is not None
        prepare = str if as_it_is else marks_apart

        def make_metric(references: Sequence[str]) -> Any:
            return BLEU(
                effective_order=True,
                lowercase=self.lowercase,
                tokenize=self.tokenize,
                references=[[reference] for reference in references],
            )

        total = _score(episodes, self.name, make_metric, prepare)
        _forget_texts()
        return RewardResult(total, {self.name: total})


@dataclass(frozen=True)
class ChrF:
    """Sentence chrF in [0, 1], the best over the references.

    As `sacrebleu.sentence_chrf` (characters up to 6-grams, beta 2, white space ignored), over 100.
    It needs no words, and so suits every script; texts are compared in one spelling (see the table
    of scripts). Where n-grams of words count, too, they are set apart as for `bleu`.

    Paper: Popović, "chrF: character n-gram F-score for automatic MT evaluation" (2015).

    Attributes:
        lowercase: True ignores case.
        char_order: Length of the longest n-gram of characters.
        beta: Weight of recall relative to precision.
        word_order: Length of the longest n-gram of words; 0 for none.
        rules: "unicode" for the table of scripts, "reference" for texts as they are.
    """

    lowercase: bool = False
    char_order: int = 6
    beta: int = 2
    word_order: int = 0
    rules: Rules = "unicode"

    @property
    def name(self) -> str:
        """chrF, chrF+ or chrF++, as they are called by the n-grams of words."""
        return "chrf" + "+" * self.word_order

    def __post_init__(self) -> None:
        check_rules("chrf", self.rules)
        check_count("chrf", "char_order", self.char_order)
        check_count("chrf", "beta", self.beta)
        if self.word_order:
            check_count("chrf", "word_order", self.word_order)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        from sacrebleu.metrics.chrf import CHRF

        prepare: Callable[[str], str] = marks_apart if self.word_order else fold
        if self.rules == "reference":
            prepare = str

        def make_metric(references: Sequence[str]) -> Any:
            return CHRF(
                char_order=self.char_order,
                word_order=self.word_order,
                beta=self.beta,
                lowercase=self.lowercase,
                references=[[reference] for reference in references],
            )

        total = _score(episodes, self.name, make_metric, prepare)
        return RewardResult(total, {self.name: total})


def chrf_plus_plus(lowercase: bool = False, rules: Rules = "unicode") -> ChrF:
    """Sentence chrF++ in [0, 1], the best over the references: chrF with words and pairs of words.

    As `sacrebleu.sentence_chrf` with `word_order=2`, over 100. Characters of scripts without spaces
    are words.

    Paper: Popović, "chrF++: words helping character n-grams" (2017).

    Args:
        lowercase: True ignores case.
        rules: "unicode" for the table of scripts, "reference" for texts as they are.
    """
    return ChrF(lowercase=lowercase, word_order=2, rules=rules)


def _score(
    episodes: Sequence[Episode],
    name: str,
    make_metric: Callable[[Sequence[str]], Any],
    prepare: Callable[[str], str],
) -> FloatArray:
    """Scores episodes in [0, 1] by a metric of sacrebleu, which counts distinct references once.

    `make_metric` makes the metric of some references; `prepare` goes over every text before it.
    """
    times = Counter(episode.example.references for episode in episodes)
    known: dict[tuple[str, ...], Any] = {}
    total = np.zeros(len(episodes))
    for i, episode in enumerate(episodes):
        references = references_of(episode, name)
        check_lengths((episode.response, *references), _MOST_CHARS, name)
        metric = known.get(references) or make_metric([*map(prepare, references)])
        if times[references] > 1:  # n-grams of what is scored once would only fill the memory
            known[references] = metric
        # A corpus of one sentence: only so does sacrebleu use references that it has counted.
        score = metric.corpus_score([prepare(episode.response)], None).score
        # A perfect score exceeds 100 by a rounding error.
        total[i] = min(score / 100, 1.0)
    return total


def _forget_texts() -> None:
    """Drops the texts that sacrebleu's tokenizers keep: up to 65,536 of any length each."""
    for name in (*_TOKENIZERS, "re"):
        module = sys.modules.get(f"sacrebleu.tokenizers.tokenizer_{name}")
        for kind in vars(module).values() if module else ():
            if isinstance(kind, type) and hasattr(kind.__call__, "cache_clear"):
                kind.__call__.cache_clear()
