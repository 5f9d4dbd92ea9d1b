"""How a reward ranks texts of all kinds, beside other metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from textenv.benchmark.probe_episodes import Case
from textenv.benchmark.statistics import spearman
from textenv.examples import Episode
from textenv.rewards import load_reward
from textenv.rewards.base import FloatArray, compute_rewards
from textenv.rewards.lexical.rouge import rouge_words

_N_CORRELATED = 60  # examples whose texts the other metrics score


class ScoredTexts:
    """Texts of all kinds with their scores, of some of the cases: what correlations are made of.

    Args:
        cases: All of them.
    """

    def __init__(self, cases: Sequence[Case]) -> None:
        self._places = _some(cases)
        self._episodes: list[Episode] = []
        self._scores: list[float] = []

    def add(self, played: Sequence[Episode | None], scores: FloatArray) -> None:
        """Takes one text and score a case; None and NaN where there is none."""
        for place in self._places:
            episode = played[place]
            if episode is not None and not np.isnan(scores[place]):
                self._episodes.append(episode)
                self._scores.append(float(scores[place]))

    def correlate(self, metrics: Sequence[str]) -> dict[str, float]:
        """Returns Spearman's correlations; a metric that never varies has none."""
        lengths = [len(rouge_words(episode.response)) for episode in self._episodes]
        values: dict[str, ArrayLike] = {"length": lengths}
        for metric in metrics:
            values[metric] = compute_rewards(load_reward(metric), self._episodes).total
        found = {name: spearman(self._scores, those) for name, those in values.items()}
        return {name: value for name, value in found.items() if value is not None}


def _some(cases: Sequence[Case]) -> list[int]:
    """Returns the first case of every k-th example, so that there are not too many."""
    first: dict[int, int] = {}
    for place, case in enumerate(cases):
        first.setdefault(case.owner, place)
    return list(first.values())[:: max(1, len(first) // _N_CORRELATED)]
