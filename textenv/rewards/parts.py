"""A reward within another one: called by its name, checked by itself, shown as "part/component"."""

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
        """Scores the episodes, in order.

        Raises:
            RewardError: It raised, or gave something else than a finite score for each; the message
                names the part.
        """
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
    """Returns a total with what its parts report; it is valid where all of them are.

    Args:
        total: Made of the parts' totals, (n,).
        scored: The parts and their results.
        more: Further components.
    """
    components: dict[str, FloatArray] = {}
    valid = np.ones(len(total), np.bool_)
    reasons: dict[int, str] = {}
    for part, result in scored:
        components |= part.components(result)
        valid &= True if result.valid is None else result.valid
        for place, reason in result.reasons.items():
            reasons.setdefault(place, f"'{part.name}': {reason}")
    return RewardResult(total, components | more, valid, reasons)
