"""Polarity: how positive a text sounds, by VADER's lexicon and rules.

Paper: Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
Media Text" (2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from textenv.examples import Episode
from textenv.rewards.base import RewardResult


class Polarity:
    """VADER's compound score of the response, moved from [-1, 1] to [0, 1]; 0.5 is neutral.

    Component: "compound", as VADER gives it. An empty text is neutral, and so is one in another
    language than English. Not resisted: a list of words of praise scores highest. The reward
    "sentiment" has a target and guards against that.
    """

    name = "polarity"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        analyzer = load_vader()
        compound = np.array(
            [analyzer.polarity_scores(episode.response)["compound"] for episode in episodes],
            np.float64,
        )
        return RewardResult((1 + compound) / 2, {"compound": compound})


@lru_cache(maxsize=1)
def load_vader() -> Any:
    """Returns VADER's analyzer, with its attributes `lexicon` and `polarity_scores`."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
