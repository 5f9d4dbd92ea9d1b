"""The weighted sum of rewards: what a mapping from names to weights stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textenv.examples import Episode
from textenv.rewards.base import Reward, RewardResult
from textenv.rewards.parts import Part, combine


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
