"""Scores many episodes with one reward, and keeps the time."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import numpy as np

from textenv.examples import Episode
from textenv.rewards import Reward
from textenv.rewards.base import FloatArray, call_reward, compute_rewards

_CHUNK = 512  # bounds the memory of learned rewards, and loses little where texts are shared


class Scorer:
    """A reward with a stopwatch."""

    def __init__(self, reward: Reward) -> None:
        self.reward = reward
        self._seconds = 0.0
        self._n_scored = 0

    @property
    def ms_per_episode(self) -> float:
        """The mean time of one score so far."""
        return 1000 * self._seconds / max(1, self._n_scored)

    def warm_up(self, episode: Episode) -> None:
        """Scores an episode off the clock: the first call may import packages or load a model."""
        call_reward(self.reward, [episode])

    def score(self, episodes: Sequence[Episode], *, strict: bool = False) -> FloatArray:
        """Returns the totals (n,); NaN for a missing score, which is a RewardError if `strict`."""
        score = compute_rewards if strict else call_reward
        start = perf_counter()
        totals = [
            score(self.reward, episodes[i : i + _CHUNK]).total
            for i in range(0, len(episodes), _CHUNK)
        ]
        self._seconds += perf_counter() - start
        self._n_scored += len(episodes)
        return np.concatenate(totals) if totals else np.zeros(0)
