"""Writers of evaluations: a policy that chooses among candidates, and uniform draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.policy.lm_policy import LMPolicy
from textenv.episode import TextCore
from textenv.rollout import EpisodeSlots


@dataclass(frozen=True)
class CandidateWriter:
    """Chooses among candidate replies with a policy."""

    policy: LMPolicy  # Policy at select level
    core: TextCore  # Core of the slots
    deterministic: bool  # Whether to take the most likely candidate instead of sampling

    def write(self, slots: EpisodeSlots, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], None]:
        """Returns the number of a candidate for some slots."""
        seen = {key: value[rows] for key, value in self.core.observe().items()}
        chosen, _ = self.policy.predict(seen, deterministic=self.deterministic)
        return np.asarray(chosen), None


@dataclass(frozen=True)
class UniformWriter:
    """Draws tokens, or candidates, uniformly."""

    core: TextCore  # Core of the slots
    rng: np.random.Generator  # Generator to draw from

    def write(self, slots: EpisodeSlots, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], None]:
        """Returns a token or the number of a candidate for some slots."""
        if self.core.action_level == "select":
            most = self.core.level.action_masks()[rows].sum(axis=1)
            return np.asarray(self.rng.integers(most)), None
        return self.rng.integers(self.core.tokenizer.vocab_size, size=len(rows)), None
