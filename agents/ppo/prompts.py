"""The order in which a run plays the prompts of its data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from agents.ppo.distributed import Ranks
from agents.ppo.vec_env import find_text_env

# In larger sets, such as generated ones, numbers are drawn: hardly any comes twice.
_MOST_SHUFFLED = 2**21


class PromptOrder:
    """Plays every prompt of a data set before any is played again, in a new order each time.

    Which prompts an iteration plays depends on the seed and on how many were played before, not on
    slots or lengths. Of several processes each takes every n-th prompt.

    Args:
        seed: Seed of the order, the same in all processes.
        ranks: Processes of the run.
    """

    def __init__(self, seed: int, ranks: Ranks) -> None:
        self._seed = seed
        self._ranks = ranks
        self._drawn = 0  # by this process
        self._shuffled: tuple[tuple[int, int], NDArray[np.int64]] | None = None

    @contextmanager
    def choosing(self, env: VecEnv, n_groups: int, group_size: int) -> Iterator[None]:
        """Chooses the prompts of a rollout.

        Slots begin the episodes with the numbers that `textenv.rollout.Rollout` gives them, and
        prompt i of the rollout is that of group i. Those that a slot begins beyond the rollout's
        end are not played, and do not count.

        Args:
            env: Environment; prompts are chosen only in those made by `gymnasium.make_vec`.
            n_groups: Number of groups of the rollout, each of which plays one prompt.
            group_size: Episodes of a group, in neighbouring slots.
        """
        text_env = find_text_env(env)
        if text_env is None:
            yield
            return
        size = len(text_env.core.dataset())
        n_begun = np.zeros(env.num_envs, np.int64)

        def choose(slot: int) -> int:
            if group_size == 1:
                number = int(n_begun.sum())
            else:
                number = slot // group_size + int(n_begun[slot]) * (env.num_envs // group_size)
            n_begun[slot] += 1
            return self.number(self._drawn + number, size)

        text_env.env.choose_index = choose
        try:
            yield
        finally:
            text_env.env.choose_index = None
        self._drawn += n_groups

    def number(self, nth: int, size: int) -> int:
        """Returns the number of the prompt that this process plays as its nth, from 0."""
        number = nth * self._ranks.size + self._ranks.index
        if size > _MOST_SHUFFLED:
            return int(np.random.default_rng([self._seed, number]).integers(size))
        epoch, place = divmod(number, size)
        if self._shuffled is None or self._shuffled[0] != (epoch, size):
            order = np.random.default_rng([self._seed, epoch]).permutation(size)
            self._shuffled = (epoch, size), order
        return int(self._shuffled[1][place])

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of all processes for a checkpoint, as plain numbers."""
        return {"seed": self._seed, "drawn": self._ranks.gather(self._drawn)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned, perhaps with another number of processes."""
        self._seed, drawn = state["seed"], state["drawn"]
        if len(drawn) == self._ranks.size:
            self._drawn = drawn[self._ranks.index]
        else:
            self._drawn = -(-sum(drawn) // self._ranks.size)
