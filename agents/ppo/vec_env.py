"""A text vector environment behind Stable-Baselines3's `VecEnv` interface."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv

from textenv.episode import TextCore
from textenv.errors import ConfigError, ResourceError
from textenv.examples import Episode
from textenv.levels import Observation
from textenv.vector import TextVectorEnv

_SECONDS_TO_END = 0.5  # for a process whose pipe has closed
# Methods whose result has an entry a slot.
_PER_SLOT_METHODS = ("action_masks",)


class TextVecEnv(VecEnv):
    """Steps all slots of a `TextVectorEnv` in one call, with SB3's rules for finished episodes.

    A slot whose episode ends starts the next one in the same step. Its info holds
    `terminal_observation`, and `episode` with the return "r", the length "l" in actions and the
    time "t" in seconds, like SB3's Monitor. Observations are not copied, and while no episode ends
    there is no work for each slot.

    `set_options({"group_size": k})` before a `reset` makes k neighbouring slots play the same
    examples until the next reset; see `TextVectorEnv.reset` for other options.

    Attributes:
        finished: Conversations of the episodes that ended in the latest step, by slot.

    Args:
        env: Result of `gymnasium.make_vec`, at token or select level; its autoreset mode does not
            matter. Its wrappers have no effect, except `RecordVectorEpisodes`.

    Raises:
        ConfigError: The environment is another kind of vector environment, or at text level.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        env = env.unwrapped
        if not isinstance(env, TextVectorEnv):
            raise ConfigError(
                f"TextVecEnv steps what gymnasium.make_vec makes of a text environment, not a "
                f"{type(env).__name__}: leave its vectorization_mode as it is."
            )
        if env.core.action_level == "text":
            raise ConfigError(
                "Stable-Baselines3 knows no text spaces. Use what gymnasium.make_vec returns as it "
                'is, or make it with action_level="token" (or "select", where the task has '
                "candidates)."
            )
        self.env = env
        self._actions: NDArray[np.int64] = np.zeros(env.num_envs, np.int64)
        self._started_at = time.perf_counter()
        self._returns = np.zeros(env.num_envs)
        self._steps = np.zeros(env.num_envs, np.int64)
        self._failed = False
        self.finished: dict[int, Episode] = {}
        self.render_mode = env.render_mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    @property
    def core(self) -> TextCore:
        """Core of all slots."""
        return self.env.core

    @contextmanager
    def masking_invalid(self) -> Iterator[None]:
        """Makes steps pay NaN for an episode that cannot be scored, instead of raising.

        The info of such an episode has "valid" False and "invalid_reason", and no "episode", so
        that it does not count in SB3's statistics.
        """
        core = self.env.core
        before, core.mask_invalid = core.mask_invalid, True
        try:
            yield
        finally:
            core.mask_invalid = before

    def rest(self, slots: NDArray[np.bool_]) -> None:
        """Makes slots ignore their actions, at no cost, until `wake` or the next `reset`.

        Args:
            slots: Mask of the slots that should rest, bool (num_envs,).
        """
        self.env.core.playing &= ~slots

    def wake(self, slots: NDArray[np.bool_]) -> None:
        """Ends the rest of slots within an episode.

        Args:
            slots: Mask of these slots, bool (num_envs,).
        """
        self.env.core.playing |= slots

    def reset(self) -> Observation:
        """Starts an episode in every slot."""
        seeds = list(self._seeds) if any(seed is not None for seed in self._seeds) else None
        if all(options == self._options[0] for options in self._options):
            observation, infos = self.env.reset(seed=seeds, options=self._options[0])
            self.reset_infos = _split_infos(infos, self.num_envs)
        else:
            for slot, options in enumerate(self._options):
                only = {**options, "reset_mask": np.arange(self.num_envs) == slot}
                observation, infos = self.env.reset(seed=seeds, options=only)
                self.reset_infos[slot] = _slot_info(infos, slot)
        self._reset_seeds()
        self._reset_options()
        self._returns[:] = 0.0
        self._steps[:] = 0
        self._failed = False
        return observation

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Takes the actions of the next `step_wait`."""
        self._actions = np.asarray(actions)

    def step_wait(
        self,
    ) -> tuple[Observation, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Takes an action in every slot.

        Raises:
            ConfigError: The actions are not one valid action for each slot.
            RewardError: An episode ended and could not be scored.
            gymnasium.error.ResetNeeded: `reset` was never called, or not since a failed step in
                which episodes had ended.
        """
        if not self.env.all_started:
            raise gym.error.ResetNeeded("No episode has begun yet: call reset().")
        if self._failed:
            raise gym.error.ResetNeeded("Episodes ended in a step that failed: call reset().")
        core = self.env.core
        played = core.playing.copy()
        try:
            rewards, terminated, truncated, slot_infos = core.step(self._actions)
        except Exception:
            self._failed = bool((played & ~core.playing).any())
            raise
        self._steps += played
        self._returns += rewards
        dones = terminated | truncated
        # A dict of its own for each slot, since SB3's wrappers may write into it.
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for slot, info in slot_infos.items():
            infos[slot] = info
        if dones.any():
            observation = self._restart(dones, truncated & ~terminated, infos)
        else:
            observation = core.observe()
        return observation, rewards.astype(np.float32), dones, infos

    def _restart(
        self, dones: NDArray[np.bool_], cut_short: NDArray[np.bool_], infos: list[dict[str, Any]]
    ) -> Observation:
        """Completes the infos of ended episodes, starts the next ones, and observes all slots."""
        ended = np.flatnonzero(dones).tolist()
        self.finished = {slot: self.core.episode(slot) for slot in ended}
        for slot in ended:
            infos[slot] = {
                **infos[slot],
                "TimeLimit.truncated": bool(cut_short[slot]),
                "terminal_observation": self.env.core.level.observe_slot(slot),
            }
            if infos[slot].get("valid", True):
                infos[slot]["episode"] = {
                    "r": float(self._returns[slot]),
                    "l": int(self._steps[slot]),
                    "t": time.perf_counter() - self._started_at,
                }
        self._returns[dones] = 0.0
        self._steps[dones] = 0
        observation, reset_infos = self.env.reset(options={"reset_mask": dones})
        for slot in ended:
            self.reset_infos[slot] = _slot_info(reset_infos, slot)
        return observation

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Returns one picture per slot, if the environment was made with "rgb_array"."""
        frames = self.env.render()
        return [None] * self.num_envs if frames is None else list(frames)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Returns an attribute of the shared environment once per slot asked for."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets an attribute of the environment, which all slots share."""
        if len(list(self._get_indices(indices))) != self.num_envs:
            raise ConfigError(
                f"The slots of a text vector environment share '{attr_name}': "
                "it cannot be set for some of them."
            )
        setattr(self.env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Calls a method of the shared environment once, and returns its result per slot.

        With `action_masks` each slot gets its own row; with other methods, the whole result.
        """
        result = getattr(self.env, method_name)(*method_args, **method_kwargs)
        per_slot = method_name in _PER_SLOT_METHODS
        return [result[slot] if per_slot else result for slot in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """Returns True for SB3's Monitor only, since this class does its work."""
        from stable_baselines3.common.monitor import Monitor

        is_monitor = issubclass(wrapper_class, Monitor)
        return [is_monitor for _ in self._get_indices(indices)]


@contextmanager
def worker_losses(env: VecEnv) -> Iterator[None]:
    """Names the slot whose process has ended, where slots are played in processes of their own.

    Raises:
        ResourceError: A process has ended.
    """
    try:
        yield
    except (EOFError, BrokenPipeError, ConnectionError) as error:
        processes = getattr(env.unwrapped, "processes", None)
        if processes is None:
            raise
        for process in processes:
            process.join(_SECONDS_TO_END)
        ended = [
            f"slot {slot} ({_ending(process.exitcode)})"
            for slot, process in enumerate(processes)
            if process.exitcode is not None
        ]
        raise ResourceError(
            f"A process that plays the environment has ended: {', '.join(ended) or 'unknown'}. "
            "What it printed last says why; when memory runs out, the system kills without a word."
        ) from error


def wait_for_workers(env: VecEnv) -> None:
    """Waits until each process that plays an environment has answered, or one has ended.

    A process that was forked holds the pipes of the others open, so that waiting for the answer of
    a dead one would never end.

    Raises:
        EOFError: A process has ended.
    """
    remotes, processes = (getattr(env.unwrapped, n, None) for n in ("remotes", "processes"))
    if not remotes or not processes:
        return
    left = {remote: process.sentinel for remote, process in zip(remotes, processes, strict=True)}
    while left:
        ready = wait([*left, *left.values()])
        for remote in [remote for remote in left if remote in ready]:
            del left[remote]
        if any(sentinel in ready for sentinel in left.values()):
            raise EOFError


def _ending(exit_code: int) -> str:
    return f"killed by signal {-exit_code}" if exit_code < 0 else f"exit status {exit_code}"


def _slot_info(infos: dict[str, Any], slot: int) -> dict[str, Any]:
    """Returns one slot's part of a vector environment's infos."""
    return {
        key: value[slot]
        for key, value in infos.items()
        if not key.startswith("_") and infos[f"_{key}"][slot]
    }


def _split_infos(infos: dict[str, Any], n: int) -> list[dict[str, Any]]:
    return [_slot_info(infos, slot) for slot in range(n)]


def find_text_env(env: VecEnv | None) -> TextVecEnv | None:
    """Returns what `TextVecEnv` there is below wrappers, if any."""
    inner = None if env is None else env.unwrapped
    return inner if isinstance(inner, TextVecEnv) else None


def most_tokens(env: VecEnv) -> int:
    """Returns the number of tokens that the agent can write in an episode.

    For environments in other processes, only the budget of one turn is known.
    """
    turn = int(env.observation_space["remaining"].high[0])  # type: ignore[index] # `check_token_level` saw a Dict
    if isinstance(env.unwrapped, SubprocVecEnv):
        return turn
    return turn * int(env.get_attr("core", indices=0)[0].max_turns)


def find_end_id(env: VecEnv) -> int | None:
    """Returns the token that ends a turn, if the environment shows it."""
    text_env = find_text_env(env)
    return None if text_env is None else text_env.core.tokenizer.end_id


def reward_seconds(env: VecEnv) -> float:
    """Returns the seconds that the reward has taken so far; 0 where the environment hides it."""
    text_env = find_text_env(env)
    return 0.0 if text_env is None else text_env.core.reward_s
