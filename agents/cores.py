"""The slots of a registered environment, for whoever plays in them directly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym

from textenv.episode import TextCore


def make_core(id: str, n_slots: int = 1, arguments: Mapping[str, Any] | None = None) -> TextCore:
    """Makes the slots of an environment.

    Args:
        id: Of a registered environment.
        n_slots: How many.
        arguments: Of `gymnasium.make_vec`, in place of the registered ones.
    """
    env = gym.make_vec(id, num_envs=n_slots, **(arguments or {}))
    core: TextCore = env.unwrapped.core  # type: ignore[attr-defined] # ours is a TextVectorEnv
    return core
