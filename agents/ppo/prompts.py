"""The order in which a run plays the prompts of its data set, or of its difficulty levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from agents.ppo.curriculum import Answers, Curriculum, Prompt
from agents.ppo.distributed import Ranks
from agents.ppo.vec_env import find_text_env
from textenv.datasets import TextDataset
from textenv.examples import Example

# In larger sets, such as generated ones, numbers are drawn: hardly any comes twice.
_MOST_SHUFFLED = 2**21
_OWN = ""  # stands for a level where there is only the environment's own data set


class PromptOrder:
    """Plays every prompt of a data set before any is played again, in a new order each time.

    Which prompts an iteration plays depends on the seed and on how many were played before, not on
    slots or lengths. Of several processes each takes every n-th prompt. Difficulty levels take
    turns, each with an order of its own.

    With a curriculum only a share of the prompts comes in this order. The others are prompts that
    were played before, drawn by how much they teach; or a level is drawn by that, and the next
    prompt in its order is played.

    Args:
        seed: Seed of the order, the same in all processes.
        ranks: Processes of the run.
    """

    def __init__(self, seed: int, ranks: Ranks) -> None:
        self._seed = seed
        self._ranks = ranks
        self._curriculum = Curriculum()
        # By this process: prompts of each level in its order; and of all levels, in any way.
        self._drawn: dict[str, int] = {}
        self._n_groups = 0
        self._shuffled: dict[int, tuple[tuple[int, int], NDArray[np.int64]]] = {}
        self._levels: Mapping[str, TextDataset] = {}

    @contextmanager
    def choosing(
        self,
        env: VecEnv,
        n_groups: int,
        group_size: int,
        levels: Mapping[str, TextDataset] | None = None,
        uniform_share: float = 1.0,
    ) -> Iterator[Sequence[Prompt]]:
        """Chooses the prompts of a rollout, and yields those of its groups.

        Slots begin the episodes with the numbers that `textenv.rollout.Rollout` gives them, and
        prompt i of the rollout is that of group i. Those that a slot begins beyond the rollout's
        end are not played, and do not count.

        Args:
            env: Environment; prompts are chosen only in those made by `gymnasium.make_vec`.
            n_groups: Number of groups of the rollout, each of which plays one prompt.
            group_size: Episodes of a group, in neighbouring slots.
            levels: Data sets of difficulty levels; by default the environment's own data set.
            uniform_share: Probability with which a prompt is drawn uniformly.
        """
        text_env = find_text_env(env)
        if text_env is None:
            yield ()
            return
        self._levels = levels or {_OWN: text_env.core.dataset()}
        prompts, drawn = self._draw(n_groups, uniform_share)
        n_begun = np.zeros(env.num_envs, np.int64)

        def choose(slot: int) -> Example:
            if group_size == 1:
                number = int(n_begun.sum())
            else:
                number = slot // group_size + int(n_begun[slot]) * (env.num_envs // group_size)
            n_begun[slot] += 1
            beyond = number - n_groups
            prompt = prompts[number] if beyond < 0 else self._next(drawn, beyond)
            return self._levels[prompt.level][prompt.number]

        text_env.env.choose_example = choose
        try:
            yield prompts
        finally:
            text_env.env.choose_example = None
        self._drawn = drawn
        self._n_groups += n_groups

    def _draw(self, n: int, uniform_share: float) -> tuple[list[Prompt], dict[str, int]]:
        """Draws n prompts; returns them, and how many of each level's order are drawn then."""
        drawn, names = dict(self._drawn), list(self._levels)
        by_variance = np.zeros(n, np.bool_)
        levels: list[str] = []
        indices: list[int] = []
        if uniform_share < 1.0:
            ranks = self._ranks
            rng = np.random.default_rng([self._seed, ranks.index, self._n_groups, 1])
            by_variance = rng.random(n) >= uniform_share
            k = int(by_variance.sum())
            if len(names) > 1:
                levels = self._curriculum.draw_levels(rng, k, names)
            else:
                size = len(self._levels[names[0]])
                indices = self._curriculum.draw_prompts(rng, k, size, ranks.index, ranks.size)
        prompts = []
        for chosen in by_variance.tolist():
            if chosen and indices:
                prompts.append(Prompt(names[0], indices.pop(), by_variance=True))
                continue
            if chosen and levels:
                level = levels.pop()
                prompt = self._at(level, drawn.get(level, 0))._replace(by_variance=True)
            else:
                prompt = self._next(drawn)
            drawn[prompt.level] = drawn.get(prompt.level, 0) + 1
            prompts.append(prompt)
        return prompts, drawn

    def _next(self, drawn: Mapping[str, int], ahead: int = 0) -> Prompt:
        """Returns the next prompt of the level whose turn it is, or of a turn further ahead."""
        names = list(self._levels)
        turn = sum(drawn.values()) + ahead + self._ranks.index
        level = names[turn % len(names)]
        return self._at(level, drawn.get(level, 0) + ahead // len(names))

    def _at(self, level: str, nth: int) -> Prompt:
        """Returns the prompt that this process plays as its nth of a level's order."""
        place = list(self._levels).index(level)
        return Prompt(level, self.number(nth, len(self._levels[level]), place))

    def number(self, nth: int, size: int, level: int = 0) -> int:
        """Returns the number of the prompt that this process plays as its nth, from 0.

        Args:
            nth: How many prompts it has played in this order.
            size: Number of prompts of the data set.
            level: Place of the data set among the levels, each of which has its own order.
        """
        number = nth * self._ranks.size + self._ranks.index
        own = [level] if level else []
        if size > _MOST_SHUFFLED:
            return int(np.random.default_rng([self._seed, number, *own]).integers(size))
        epoch, place = divmod(number, size)
        if level not in self._shuffled or self._shuffled[level][0] != (epoch, size):
            order = np.random.default_rng([self._seed, epoch, *own]).permutation(size)
            self._shuffled[level] = (epoch, size), order
        return int(self._shuffled[level][1][place])

    def learn(self, played: Sequence[Answers], bounds: tuple[float, float]) -> dict[str, float]:
        """Learns from a rollout what teaches how much; returns numbers to log.

        All processes of a run must call it after each rollout.

        Args:
            played: What this process played.
            bounds: Least and largest reward that counts.
        """
        everyones = [answers for part in self._ranks.gather(list(played)) for answers in part]
        held = [
            answers._replace(rewards=tuple(np.clip(answers.rewards, *bounds).tolist()))
            for answers in everyones
        ]
        return self._curriculum.see(held, has_levels=len(self._levels) > 1)

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of all processes for a checkpoint, as plain numbers."""
        return {
            "seed": self._seed,
            "drawn": self._ranks.gather(self._drawn),
            "groups": self._ranks.gather(self._n_groups),
            "curriculum": self._curriculum.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned, perhaps with another number of processes."""
        self._seed, drawn, groups = state["seed"], state["drawn"], state["groups"]
        n = self._ranks.size
        if len(drawn) == n:
            self._drawn = dict(drawn[self._ranks.index])
            self._n_groups = groups[self._ranks.index]
        else:
            names = dict.fromkeys(name for own in drawn for name in own)
            self._drawn = {m: -(-sum(own.get(m, 0) for own in drawn) // n) for m in names}
            self._n_groups = -(-sum(groups) // n)
        self._curriculum.load_state_dict(state["curriculum"])
