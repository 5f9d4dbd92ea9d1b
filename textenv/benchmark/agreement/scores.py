"""Scores of all rewards, and of the mere number of words, for the texts that people judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from textenv.benchmark.agreement.records import LENGTH
from textenv.errors import ConfigError
from textenv.examples import Episode
from textenv.rewards import load_reward
from textenv.rewards.base import FloatArray, call_reward
from textenv.rewards.lexical.rouge import rouge_words
from textenv.rewards.loading import RewardSpec

OnProgress = Callable[[int, int, str], None]


def score_texts(
    specs: Mapping[str, RewardSpec], episodes: Sequence[Episode], total: int, report: OnProgress
) -> tuple[dict[str, FloatArray], dict[str, float]]:
    """Returns the scores (n,) of each reward and of the length, and the time a text took, in ms."""
    scores: dict[str, FloatArray] = {}
    times = {}
    loaded = {name: load_reward(spec) for name, spec in specs.items()}
    for done, (name, reward) in enumerate(loaded.items()):
        report(done, total, name)
        started_at = time.perf_counter()
        result = call_reward(reward, episodes)
        times[name] = 1000 * (time.perf_counter() - started_at) / len(episodes)
        scores[name] = (
            np.where(result.valid, result.total, np.nan)
            if (result.valid is not None)
            else result.total
        )
        if np.isnan(scores[name]).all():
            first = next(iter(result.reasons.values()), "it gave no reason")
            raise ConfigError(f"'{name}' can score none of the texts: {first}")
    scores[LENGTH] = np.array([len(rouge_words(e.response)) for e in episodes], np.float64)
    return scores, times
