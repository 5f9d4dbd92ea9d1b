"""Prompts and difficulty levels drawn by how much they teach: the variance of their rewards.

Where all answers to a prompt are paid the same there is nothing to compare, and nothing is learned.
For a reward of 0 or 1 and a share p of ones, the variance is p (1 - p), the "learnability" of
Rutherford et al., 2024 (SFL, https://arxiv.org/abs/2408.15099) and of Foster et al., 2025 (LILO,
https://arxiv.org/abs/2502.12272). Units that were played before are played again as in prioritized
level replay (Jiang et al., 2021, https://arxiv.org/abs/2010.03934), whose score is another one.

What is left out: the ranks and staleness of prioritized level replay, in place of which old rewards
fade and a share of the prompts is drawn uniformly; and candidates that are played only to be
scored, as SFL and LILO do: every episode is learned from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.ppo.advantages import ROUNDING
from textenv.rollout import PlayedEpisode

_KEPT = 0.75  # weight that earlier rewards keep each time that a prompt or level is played again
_PRIOR = 1.0  # degrees of freedom that the mean variance of all prompts counts for that of one
_AMONG = 4  # seen prompts for each that is drawn of them: less would hardly be a choice
_MOST_KNOWN = 2**16  # prompts that are remembered


class Prompt(NamedTuple):
    """A prompt that a run plays."""

    level: str  # Difficulty level; empty for the environment's own data set
    number: int  # Its number in the level's data set
    by_variance: bool = False  # Whether it was drawn by how much it, or its level, teaches


class Answers(NamedTuple):
    """The rewards of the answers to a prompt in one rollout."""

    prompt: Prompt
    rewards: tuple[float, ...]


def answers_of(prompts: Sequence[Prompt], episodes: Sequence[PlayedEpisode]) -> list[Answers]:
    """Returns the rewards of each prompt, those of group i being of prompt i; scored ones alone."""
    rewards: list[list[float]] = [[] for _ in prompts]
    for episode in episodes:
        if episode.invalid_reason is None:
            rewards[episode.group].append(episode.reward)
    return [Answers(*both) for both in zip(prompts, map(tuple, rewards), strict=True)]


@dataclass(frozen=True)
class Spread:
    """How far rewards differ. Earlier ones count less, as the policy has changed since."""

    weight: float = 0.0  # Number of rewards
    mean: float = 0.0  # Mean reward
    squares: float = 0.0  # Sum of squared deviations
    freedom: float = 0.0  # Degrees of freedom of that sum

    def after(self, rewards: NDArray[np.float64]) -> Spread:
        """Returns the spread with the rewards of a further visit, (n,), of the same prompt."""
        n, m = _KEPT * self.weight, len(rewards)
        mean, squares = float(rewards.mean()), _sum_of_squares(rewards)
        apart = (mean - self.mean) ** 2 * n * m / (n + m)
        return Spread(
            weight=n + m,
            mean=(n * self.mean + m * mean) / (n + m),
            squares=_KEPT * self.squares + squares + apart,
            freedom=_KEPT * self.freedom + m - (0 if n else 1),
        )

    def after_groups(self, groups: Sequence[NDArray[np.float64]]) -> Spread:
        """Returns the spread with those of further groups, each compared with itself alone."""
        n, rewards = _KEPT * self.weight, np.concatenate(groups)
        return Spread(
            weight=n + len(rewards),
            mean=float((n * self.mean + rewards.sum()) / (n + len(rewards))),
            squares=_KEPT * self.squares + sum(map(_sum_of_squares, groups)),
            freedom=_KEPT * self.freedom + len(rewards) - len(groups),
        )

    @property
    def varies(self) -> bool:
        """Whether rewards differ by more than their rounding."""
        return self.squares > (ROUNDING * self.mean) ** 2 * self.weight

    def variance(self, prior: float = 0.0, prior_freedom: float = 0.0) -> float:
        """Returns the variance, drawn towards that of others; 0 where nothing is known."""
        freedom = self.freedom + prior_freedom
        return (self.squares + prior_freedom * prior) / freedom if freedom else 0.0


class Curriculum:
    """What is known of the rewards of prompts, or of difficulty levels, and draws by it.

    All processes of a run know the same.
    """

    def __init__(self) -> None:
        self._levels: dict[str, Spread] = {}
        self._prompts: dict[int, Spread] = {}  # the latest to be played is the last

    def draw_levels(self, rng: np.random.Generator, n: int, levels: Sequence[str]) -> list[str]:
        """Draws n levels in proportion to the variance of their rewards.

        One that was not played yet counts like the mean of the others. None is drawn while no
        rewards have differed.
        """
        spreads = [self._levels.get(name, Spread()) for name in levels]
        prior = _pooled(spreads)
        scores = np.array([s.variance() if s.freedom else prior for s in spreads])
        if not scores.any():
            return []
        drawn = rng.choice(len(levels), size=n, p=scores / scores.sum())
        return [levels[i] for i in drawn]

    def draw_prompts(
        self, rng: np.random.Generator, n: int, size: int, index: int = 0, of: int = 1
    ) -> list[int]:
        """Draws up to n different prompts that were played before, in proportion to their variance.

        Fewer are drawn while few are known. The variance of a prompt is drawn towards the mean of
        all, and is that mean after a single answer.

        Args:
            rng: Random numbers.
            n: Most prompts to draw.
            size: Number of prompts of the data set, which may be another than before.
            index: Number of this process; each draws among its own part of the prompts.
            of: Number of processes.
        """
        known = sorted(i for i in self._prompts if i < size)[index::of]
        prior = _pooled(self._prompts.values())
        n = min(n, len(known) // _AMONG)
        if not n or not prior:
            return []
        scores = np.array([self._prompts[i].variance(prior, _PRIOR) for i in known])
        drawn = rng.choice(len(known), size=n, replace=False, p=scores / scores.sum())
        return [known[i] for i in drawn]

    def see(self, played: Sequence[Answers], has_levels: bool) -> dict[str, float]:
        """Takes note of the rewards of a rollout, of all processes; returns numbers to log."""
        # In an order that does not depend on slots and processes.
        scored = sorted(answers for answers in played if answers.rewards)
        by_variance = [answers.prompt.by_variance for answers in played]
        metrics = {"curriculum/by_variance_share": float(np.mean(by_variance))}
        if has_levels:
            self._see_levels(scored)
            return metrics | self._describe_levels(played)
        for answers in scored:
            number = answers.prompt.number
            before = self._prompts.pop(number, Spread())
            self._prompts[number] = before.after(np.array(answers.rewards))
        while len(self._prompts) > _MOST_KNOWN:
            del self._prompts[next(iter(self._prompts))]
        return metrics | self._describe_prompts(scored)

    def _see_levels(self, scored: Sequence[Answers]) -> None:
        by_level: dict[str, list[NDArray[np.float64]]] = {}
        for answers in scored:
            by_level.setdefault(answers.prompt.level, []).append(np.array(answers.rewards))
        for name, groups in by_level.items():
            # Without groups all that there is to compare are answers to different prompts.
            alone = max(map(len, groups)) == 1
            before = self._levels.get(name, Spread())
            self._levels[name] = before.after_groups([np.concatenate(groups)] if alone else groups)

    def _describe_levels(self, played: Sequence[Answers]) -> dict[str, float]:
        metrics: dict[str, float] = {}
        mean = 0.0
        for name, spread in self._levels.items():
            share = sum(answers.prompt.level == name for answers in played) / len(played)
            mean += share * spread.variance()
            metrics |= {
                f"curriculum/{name}/share": share,
                f"curriculum/{name}/variance": spread.variance(),
                f"curriculum/{name}/reward_mean": spread.mean,
            }
        return {"curriculum/variance": mean, **metrics}

    def _describe_prompts(self, scored: Sequence[Answers]) -> dict[str, float]:
        prior = _pooled(self._prompts.values())
        spreads = [
            self._prompts[a.prompt.number] for a in scored if a.prompt.number in self._prompts
        ]
        compared = [spread for spread in self._prompts.values() if spread.freedom]
        equal = sum(not spread.varies for spread in compared)
        return {
            "curriculum/variance": float(np.mean([s.variance(prior, _PRIOR) for s in spreads])),
            "curriculum/equal_prompts": equal / max(len(compared), 1),
            "curriculum/known_prompts": len(self._prompts),
        }

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for a checkpoint, as plain numbers."""
        return {
            "levels": [[name, *astuple(spread)] for name, spread in self._levels.items()],
            "prompts": [[index, *astuple(spread)] for index, spread in self._prompts.items()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._levels = {name: Spread(*numbers) for name, *numbers in state["levels"]}
        self._prompts = {index: Spread(*numbers) for index, *numbers in state["prompts"]}


def _sum_of_squares(rewards: NDArray[np.float64]) -> float:
    return float(((rewards - rewards.mean()) ** 2).sum())


def _pooled(spreads: Iterable[Spread]) -> float:
    """Returns the mean variance of several."""
    squares, freedom = 0.0, 0.0
    for spread in spreads:
        squares, freedom = squares + spread.squares, freedom + spread.freedom
    return squares / freedom if freedom else 0.0
