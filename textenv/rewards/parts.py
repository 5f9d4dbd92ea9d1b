"""Rewards within a reward: named parts, and their weighted sum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textenv.examples import Episode
from textenv.rewards.base import FloatArray, Reward, RewardResult, call_reward


@dataclass(frozen=True)
class Part:
    """A reward, and what messages and components call it."""

    name: str
    reward: Reward

    def score(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order; a RewardError names the part."""
        return call_reward(self.reward, episodes, self.name)

    def components(self, result: RewardResult) -> dict[str, FloatArray]:
        """Returns the total by the part's name, and what else it reports as "name/component".

        A component that is the total itself is not repeated.
        """
        named = {self.name: result.total}
        for key, value in result.components.items():
            if key != self.name and value is not result.total:
                named[f"{self.name}/{key}"] = value
        return named


def combine(
    total: FloatArray, scored: Sequence[tuple[Part, RewardResult]], **more: FloatArray
) -> RewardResult:
    """Returns a total (n,) with what its parts report, and more; valid where all of them are."""
    components: dict[str, FloatArray] = {}
    valid = np.ones(len(total), np.bool_)
    reasons: dict[int, str] = {}
    for part, result in scored:
        components |= part.components(result)
        valid &= True if result.valid is None else result.valid
        for place, reason in result.reasons.items():
            reasons.setdefault(place, f"'{part.name}': {reason}")
    return RewardResult(total, components | more, valid, reasons)


@dataclass(frozen=True)
class WeightedSum:
    """The sum of rewards times their weights.

    Its components are each part's unweighted total, by the part's name, and "part/component" for
    what else a part reports. An episode is valid where all parts are.

    Attributes:
        parts: Name, weight and reward of each part.
    """

    parts: tuple[tuple[str, float, Reward], ...]

    @property
    def name(self) -> str:
        """The sum, written out."""
        return " + ".join(f"{weight:g} {name}" for name, weight, _ in self.parts)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total = np.zeros(len(episodes))
        scored = []
        for name, weight, reward in self.parts:
            part = Part(name, reward)
            result = part.score(episodes)
            total += weight * result.total
            scored.append((part, result))
        return combine(total, scored)
