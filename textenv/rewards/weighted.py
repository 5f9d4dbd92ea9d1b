"""The weighted sum of rewards: what a mapping from names to weights stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import FloatArray, Reward, RewardResult


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
        valid = np.ones(len(episodes), np.bool_)
        components: dict[str, FloatArray] = {}
        for name, weight, reward in self.parts:
            result = reward(episodes)
            if not isinstance(result, RewardResult):
                raise RewardError(
                    f"Reward '{name}' returned {type(result).__name__}; return a RewardResult, or "
                    "wrap a function that gives plain numbers in textenv.rewards.from_function."
                )
            if np.shape(result.total) != total.shape:
                # Numpy would broadcast a single number over all episodes.
                raise RewardError(
                    f"Reward '{name}' returned 'total' of shape {np.shape(result.total)} for "
                    f"{len(episodes)} episodes; it must hold one number an episode, in order."
                )
            total += weight * np.asarray(result.total, np.float64)
            if result.valid is not None:
                valid &= result.valid
            components[name] = result.total
            for key, value in result.components.items():
                if key != name:
                    components[f"{name}/{key}"] = value
        return RewardResult(total, components, valid)
