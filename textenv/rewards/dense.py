"""Pays a reward as the text grows, by the differences of a potential, to the same total.

Paper: Ng, Harada and Russell, "Policy invariance under reward transformations" (1999).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from textenv.examples import Episode
from textenv.rewards.base import FloatArray, Reward, RewardResult
from textenv.rewards.parts import Part, WeightedSum, combine


@dataclass(frozen=True)
class Dense:
    """A reward that is paid within the episode, at token level; elsewhere it is paid at the end."""

    of: Part  # the reward of the whole episode
    potential: Part  # the reward that scores the unfinished episode
    every: int  # number of tokens of the agent between two payments
    name: ClassVar[str] = "dense"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        result = self.of.score(episodes)
        return combine(result.total, [(self.of, result)])


@dataclass(frozen=True)
class PotentialTerm:
    """What a dense reward, as it stands in a sum, adds to the potential of an episode."""

    weight: float
    potential: Part
    every: int


def potential_terms(reward: Reward, weight: float = 1.0) -> tuple[PotentialTerm, ...]:
    """Returns the potentials of the dense rewards in a reward; () if it pays at the end only."""
    if isinstance(reward, Dense):
        return (PotentialTerm(weight, reward.potential, reward.every),)
    if isinstance(reward, WeightedSum):
        return tuple(
            term
            for _, own_weight, part in reward.parts
            for term in potential_terms(part, weight * own_weight)
        )
    return ()


class PotentialDifferences:
    """The rule of potential-based shaping: F = gamma * potential(after) - potential(before).

    The potential of the start and of an ended episode is 0, so with gamma 1 the sum of F over an
    episode is 0: what is paid early is taken back at the end, of the reward that is due then.
    """

    def __init__(self, n_slots: int, gamma: float = 1.0) -> None:
        self.gamma = gamma  # the agent's discount
        self.before = np.zeros(n_slots)  # each slot's latest potential

    def start(self, slot: int) -> None:
        """Begins an episode."""
        self.before[slot] = 0.0

    def move(self, slots: Any, after: Any) -> FloatArray:
        """Returns F of k slots, and keeps their new potentials (k,)."""
        shaping: FloatArray = self.gamma * np.asarray(after) - self.before[slots]
        self.before[slots] = after
        return shaping


class DensePay:
    """What the slots of an environment are paid, step by step, by the dense rewards in a sum."""

    def __init__(self, terms: Sequence[PotentialTerm], n_slots: int) -> None:
        # A slot's potential is their weighted sum, each as it was when last due.
        self.terms = tuple(terms)
        self._latest = np.zeros((len(self.terms), n_slots))
        self._differences = PotentialDifferences(n_slots)

    def start(self, slot: int) -> None:
        """Begins an episode."""
        self._latest[:, slot] = 0.0
        self._differences.start(slot)

    def pay(
        self,
        rewards: FloatArray,
        terminated: NDArray[np.bool_],
        n_tokens: NDArray[np.intp],
        so_far: Callable[[int], Episode],
        score: Callable[[Reward, Sequence[Episode]], RewardResult],
    ) -> FloatArray:
        """Returns what a step pays, float64 (n_slots,).

        Args:
            rewards: What each episode that ended is worth as a whole, 0 elsewhere, (n_slots,).
            terminated: True where an episode ended, bool (n_slots,).
            n_tokens: Tokens that the agent wrote in each slot's episode, (n_slots,); 0 where it
                wrote none in this step.
            so_far: Returns a slot's unfinished episode.
            score: `compute_rewards`, or `call_reward`, by which an unfinished episode may go
                without a score: its potential stays what it was.
        """
        moved = np.zeros(len(rewards), np.bool_)
        for i, term in enumerate(self.terms):
            is_due = ~terminated & (n_tokens > 0) & (n_tokens % term.every == 0)
            due = np.flatnonzero(is_due)
            if len(due):
                result = score(term.potential.reward, [so_far(slot) for slot in due.tolist()])
                new = term.weight * result.total
                self._latest[i, due] = np.where(np.isnan(new), self._latest[i, due], new)
                moved |= is_due
        paid = rewards.copy()
        paid[moved] += self._differences.move(moved, self._latest[:, moved].sum(axis=0))
        paid[terminated] += self._differences.move(terminated, 0.0)
        return paid
