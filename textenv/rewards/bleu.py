"""BLEU and chrF of single responses: n-grams of words, and of characters, by sacrebleu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical import references_of
from textenv.rewards.words import has_cjk, space_cjk


@dataclass(frozen=True)
class Bleu:
    """Sentence BLEU in [0, 1], against all references at once.

    As `sacrebleu.sentence_bleu` (exponential smoothing, effective order), over 100. Its words are
    those of the "13a" tokenizer; where a reference holds Chinese, Japanese or Korean, those of "zh"
    on text whose characters of these scripts are set apart.

    Paper: Papineni et al., "BLEU: a Method for Automatic Evaluation of Machine Translation" (2002).
    """

    name: str = "bleu"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        from sacrebleu.metrics.bleu import BLEU

        spaced = BLEU(effective_order=True)
        characters = BLEU(effective_order=True, tokenize="zh")
        total = np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            response, references = episode.response, references_of(episode, self.name)
            metric = spaced
            if any(has_cjk(reference) for reference in references):
                metric = characters
                response = space_cjk(response)
                references = tuple(space_cjk(reference) for reference in references)
            # A perfect score exceeds 100 by a rounding error.
            total[i] = min(metric.sentence_score(response, references).score / 100, 1.0)
        return RewardResult(total, {self.name: total})


@dataclass(frozen=True)
class ChrF:
    """Sentence chrF in [0, 1], the best over the references.

    As `sacrebleu.sentence_chrf` (characters up to 6-grams, beta 2, white space ignored), over 100.
    It needs no words, and so suits every script.

    Paper: Popović, "chrF: character n-gram F-score for automatic MT evaluation" (2015).
    """

    name: str = "chrf"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        from sacrebleu.metrics.chrf import CHRF

        metric = CHRF()
        total = np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            references = references_of(episode, self.name)
            score = metric.sentence_score(episode.response, references).score
            total[i] = min(score / 100, 1.0)
        return RewardResult(total, {self.name: total})
