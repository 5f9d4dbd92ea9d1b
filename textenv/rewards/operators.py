"""Rewards made of rewards: their options hold descriptions of others, as `load_reward` takes them.

A sum is a mapping from names to weights, and needs no operator. What a part reports stays in the
result: its total by its name, and its components as "part/component".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from textenv.errors import ConfigError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.dense import Dense
from textenv.rewards.loading import RewardSpec, load_part, load_parts
from textenv.rewards.options import check_count, check_number
from textenv.rewards.parts import Part, combine


def product(of: Sequence[RewardSpec]) -> Product:
    """Multiplies rewards: with scores from 0 to 1, all of them must be good.

    Args:
        of: A list of rewards, such as `[rougeL, {length: {...}}]`.
    """
    if isinstance(of, str) or not isinstance(of, Sequence) or len(of) < 2:
        raise ConfigError(
            f"'product' multiplies a list of rewards: of: [rougeL, coverage], not {of!r}."
        )
    return Product(load_parts(of, "product"))


def gate(of: RewardSpec, when: RewardSpec, at_least: float = 1.0, otherwise: float = 0.0) -> Gate:
    """Pays a reward where another one reaches a threshold, and a constant elsewhere.

    Args:
        of: Reward that is paid.
        when: The condition; `open` among the components is 1 where it holds, else 0.
        at_least: Threshold that `when` has to reach.
        otherwise: Score where the condition does not hold.
    """
    paid, condition = load_parts((of, when), "gate")
    if "open" in (paid.name, condition.name):
        raise ConfigError("A part of 'gate' cannot be called 'open': that is whether it is open.")
    return Gate(
        paid,
        condition,
        check_number("gate", "at_least", at_least),
        check_number("gate", "otherwise", otherwise),
    )


def clip(of: RewardSpec, low: float | None = None, high: float | None = None) -> Clip:
    """Keeps a reward within limits: nothing is gained beyond them.

    Args:
        of: The reward.
        low: Lower limit; none if not given.
        high: Upper limit; none if not given.
    """
    if low is None and high is None:
        raise ConfigError("'clip' needs 'low', 'high' or both.")
    least = -np.inf if low is None else check_number("clip", "low", low)
    most = np.inf if high is None else check_number("clip", "high", high)
    if not least < most:
        raise ConfigError(f"'clip' needs low < high, not low={low} and high={high}.")
    return Clip(load_part(of), least, most)


def dense(of: RewardSpec, potential: RewardSpec | None = None, every: int = 8) -> Dense:
    """Pays a reward while the text grows: the same total over an episode, in parts.

    At every so many tokens of the agent, token-level environments pay potential(now) -
    potential(before), where that of the start counts as 0; the end pays the reward less what was
    paid. What is best does not change (Ng, Harada and Russell 1999). Elsewhere it is paid at the
    end as a whole. It stands alone or in a sum, not inside other operators.

    Args:
        of: The reward of the whole episode.
        potential: The reward that scores the unfinished episode; by default `of` itself.
        every: Number of tokens between two payments.
    """
    check_count("dense", "every", every)
    part = load_part(of)
    return Dense(part, part if potential is None else load_part(potential), every)


@dataclass(frozen=True)
class Product:
    """The product of its parts."""

    parts: tuple[Part, ...]
    name: ClassVar[str] = "product"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        results = [part.score(episodes) for part in self.parts]
        total = np.prod([result.total for result in results], axis=0)
        return combine(total, list(zip(self.parts, results, strict=True)))


@dataclass(frozen=True)
class Gate:
    """One part where another one reaches a threshold."""

    of: Part
    when: Part
    at_least: float
    otherwise: float
    name: ClassVar[str] = "gate"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        paid, condition = self.of.score(episodes), self.when.score(episodes)
        is_open = condition.total >= self.at_least
        total = np.where(is_open, paid.total, self.otherwise)
        scored = ((self.of, paid), (self.when, condition))
        return combine(total, scored, open=is_open.astype(np.float64))


@dataclass(frozen=True)
class Clip:
    """A part within limits."""

    of: Part
    low: float
    high: float
    name: ClassVar[str] = "clip"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        result = self.of.score(episodes)
        return combine(np.clip(result.total, self.low, self.high), [(self.of, result)])
