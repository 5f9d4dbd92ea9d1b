"""Scores the saved texts of runs by every metric, so that a new metric needs no training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from agents.reward_bench.records import Run
from textenv.benchmark.matrix import DesignScores
from textenv.benchmark.statistics import FloatArray
from textenv.rewards import compute_rewards, load_reward
from textenv.rewards.loading import RewardSpec

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Start:
    """Samples of the untrained policy, and their scores by every metric."""

    metrics: tuple[str, ...]  # Names of the metrics, in order
    runs: Mapping[int, Run]  # Samples by seed
    scores: Mapping[int, FloatArray]  # Scores (n_metrics, n_prompts, n_samples) by seed

    @property
    def pools(self) -> dict[str, FloatArray]:
        """Scores of all seeds together, (n_prompts, n_samples), by metric."""
        return dict(zip(self.metrics, np.concatenate(list(self.scores.values()), 2), strict=True))


@dataclass(frozen=True)
class ScoredDesign:
    """The runs of one design, and their scores by every metric."""

    scores: DesignScores
    runs: tuple[Run, ...]

    @property
    def final_kl(self) -> FloatArray:
        """KL at the end of training, in nats per response, (n_seeds, n_prompts)."""
        return np.stack([run.looks[-1].kl for run in self.runs])


class Scorer:
    """Scores runs by some metrics, each of which is made once."""

    def __init__(self, specs: Mapping[str, RewardSpec]) -> None:
        self.metrics = tuple(specs)
        self._rewards = [load_reward(spec) for spec in specs.values()]

    def score_start(self, runs: Mapping[int, Run], report: Report) -> Start:
        """Scores the untrained policy's samples, given by seed."""
        scores = {}
        for i, (seed, run) in enumerate(runs.items()):
            scores[seed] = self._score(run)[:, 0]
            report(i + 1, "")
        return Start(self.metrics, runs, scores)

    def score_design(self, runs: Mapping[int, Run], start: Start) -> ScoredDesign:
        """Scores a design's runs, given by seed; each begins with the start of the same seed."""
        tables = []
        for seed, run in runs.items():
            looks = (start.scores[seed][:, None], self._score(run))
            tables.append(np.concatenate([samples.mean(axis=3) for samples in looks], axis=1))
        kl = [[0.0, *(float(look.kl.mean()) for look in run.looks)] for run in runs.values()]
        by_token = [
            [0.0, *(float(look.kl.sum() / max(1, look.n_actions.sum())) for look in run.looks)]
            for run in runs.values()
        ]
        values = dict(zip(self.metrics, np.stack(tables, axis=1), strict=True))
        scores = DesignScores(tuple(runs), np.array(kl), np.array(by_token), values)
        return ScoredDesign(scores, tuple(runs.values()))

    def _score(self, run: Run) -> FloatArray:
        """Returns (n_metrics, n_looks, n_prompts, n_samples)."""
        episodes = [episode for look in run.looks for episode in look.episodes]
        shape = (len(run.looks), -1, run.looks[0].n_samples)
        return np.stack(
            [compute_rewards(reward, episodes).total.reshape(shape) for reward in self._rewards]
        )
