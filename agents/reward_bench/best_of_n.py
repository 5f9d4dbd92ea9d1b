"""Samples a pool of responses to each prompt, and picks the best of n by a reward."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.policy.lm_policy import LMPolicy
from agents.training.held_out import play_policy_on_split
from textenv.benchmark.best_of_n import gain_of_best, make_best_of_n
from textenv.benchmark.results import BestOfN
from textenv.benchmark.statistics import Estimate, FloatArray
from textenv.episode import TextCore
from textenv.examples import Episode
from textenv.rewards import Reward, RewardResult, compute_rewards
from textenv.rollout import Progress, silent


@dataclass(frozen=True)
class Pool:
    """Samples of a policy, and their scores by several rewards."""

    proxy: str  # Name of the reward that picks
    # `size` samples of the first prompt, then of the second, and so on
    episodes: tuple[Episode, ...]
    scores: dict[str, FloatArray]  # Scores (n_prompts, size), by the name of the reward

    @property
    def size(self) -> int:
        """Number of samples of each prompt."""
        return int(self.scores[self.proxy].shape[1])

    def curves(self, seed: int = 0) -> BestOfN:
        """Returns the scores of the best of n by the proxy, for several n."""
        return make_best_of_n(self.proxy, self.scores, seed=seed)

    def gains(self, seed: int = 0) -> dict[str, Estimate]:
        """Returns each score's gain from picking the best of the pool instead of one sample."""
        proxy = self.scores[self.proxy]
        return {
            name: gain_of_best(proxy, table, self.size, seed) for name, table in self.scores.items()
        }

    def picks(self) -> list[tuple[int, int]]:
        """Returns for each prompt the places of its first sample and of the proxy's best.

        Places are indices of `episodes`; of several best samples the first one is taken.
        """
        best = self.scores[self.proxy].argmax(axis=1)
        return [(row * self.size, row * self.size + int(place)) for row, place in enumerate(best)]

    def scores_of(self, place: int) -> dict[str, float]:
        """Returns the scores of the episode at a place."""
        return {name: float(table.flat[place]) for name, table in self.scores.items()}


def pay_nothing(episodes: Sequence[Episode]) -> RewardResult:
    """Pays 0: the reward of an environment whose episodes are scored afterwards."""
    return RewardResult(np.zeros(len(episodes)))


def sample_pool(
    policy: LMPolicy,
    core: TextCore,
    split: str,
    n_prompts: int,
    size: int,
    progress: Progress = silent,
) -> tuple[Episode, ...]:
    """Samples the policy `size` times on each of the first prompts of a split."""
    return tuple(
        play_policy_on_split(
            policy, core, split, n_prompts, deterministic=False, progress=progress, n_samples=size
        )
    )


def score_pool(
    proxy: str,
    rewards: Mapping[str, Reward],
    episodes: Sequence[Episode],
    size: int,
    progress: Progress = silent,
) -> Pool:
    """Scores every sample by every reward."""
    scores = {}
    for done, (name, reward) in enumerate(rewards.items()):
        progress(done, name)
        scores[name] = compute_rewards(reward, episodes).total.reshape(-1, size)
    progress(len(rewards), "")
    return Pool(proxy, tuple(episodes), scores)


def write_picks(pool: Pool, core: TextCore, path: Path) -> None:
    """Writes a JSON line for each prompt, with its first sample and the proxy's pick."""
    with path.open("w", encoding="utf-8") as file:
        for first, best in pool.picks():
            example = pool.episodes[first].example
            row = {
                "id": example.id,
                "prompt": "\n".join(turn.text for turn in core.task.opening(example)),
                "references": list(example.references),
            } | {
                name: {"response": pool.episodes[place].response, "scores": pool.scores_of(place)}
                for name, place in (("first", first), ("best", best))
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
