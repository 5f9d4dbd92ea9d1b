"""Control rewards that know nothing of quality: random numbers and a constant."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from textenv.errors import ConfigError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.options import check_number


@dataclass(frozen=True)
class Random:
    """A number drawn uniformly from [0, 1), the same for the same example, response and seed.

    Attributes:
        seed: Whole number; another seed gives other numbers.
    """

    seed: int = 0
    name: ClassVar[str] = "random"

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ConfigError(f"The seed of reward 'random' must be whole, not {self.seed!r}.")

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total = np.array([self._draw(episode) for episode in episodes], np.float64)
        return RewardResult(total, {self.name: total})

    def _draw(self, episode: Episode) -> float:
        # JSON tells where the id ends, and has a form for half a surrogate pair.
        drawn = json.dumps([self.seed, episode.example.id, episode.response]).encode()
        digest = hashlib.blake2b(drawn, digest_size=8).digest()
        return (int.from_bytes(digest) >> 11) / 2**53  # the 53 bits of a float64


@dataclass(frozen=True)
class Constant:
    """The same for everything: nothing to learn.

    Attributes:
        value: The score of every episode.
    """

    value: float = 0.0
    name: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        check_number("constant", "value", self.value)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total = np.full(len(episodes), float(self.value))
        return RewardResult(total, {self.name: total})
