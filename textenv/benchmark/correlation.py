"""How a reward ranks texts of all kinds, beside other metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from textenv.benchmark.probe_episodes import Case
from textenv.benchmark.statistics import spearman
from textenv.examples import Episode
from textenv.rewards import load_reward
from textenv.rewards.base import FloatArray, compute_rewards
from textenv.rewards.lexical.rouge import rouge_words

_N_CORRELATED = 60  # examples whose texts the other metrics score


def correlate(
    cases: Sequence[Case],
    scored: Iterable[tuple[Sequence[Episode | None], FloatArray]],
    metrics: Sequence[str],
) -> dict[str, float]:
    """Returns Spearman's correlations with other metrics; one that never varies has none.

    Args:
        cases: All cases. The first case of every k-th example counts.
        scored: For each kind of text, each case's episode and score, or None and NaN.
        metrics: The rewards to correlate with, by name; the length in words is always there.
    """
    first: dict[int, int] = {}
    for place, case in enumerate(cases):
        first.setdefault(case.owner, place)
    places = list(first.values())[:: max(1, len(first) // _N_CORRELATED)]
    pairs = [
        (episode, float(scores[place]))
        for played, scores in scored
        for place in places
        if (episode := played[place]) is not None and not np.isnan(scores[place])
    ]
    episodes, totals = [episode for episode, _ in pairs], [score for _, score in pairs]
    values: dict[str, ArrayLike] = {
        "length": [len(rouge_words(episode.response)) for episode in episodes]
    }
    for metric in metrics:
        values[metric] = compute_rewards(load_reward(metric), episodes).total
    found = {name: spearman(totals, those) for name, those in values.items()}
    return {name: value for name, value in found.items() if value is not None}
