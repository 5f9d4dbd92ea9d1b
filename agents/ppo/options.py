"""What `TextPPO` asks of its arguments and its environment."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv

from agents.ppo.advantages import ADVANTAGES, GROUP_ADVANTAGES
from agents.ppo.policy import find_action_level
from agents.ppo.vec_env import TextVecEnv
from textenv.errors import ConfigError, UnknownNameError
from textenv.spaces import AnyText, MessagesSpace

SAMPLERS = ("vllm",)


def check_at_least(least: int, **values: float | None) -> None:
    """Checks arguments that have a least value; None is not given.

    Raises:
        ConfigError: One is below it, or not a number.
    """
    for name, value in values.items():
        if value is not None and not value >= least:
            raise ConfigError(f"{name} must be at least {least}, not {value}.")


def check_loss_options(
    advantage: str,
    group_size: int,
    dual_clip: float | None,
    importance_cap: float | None,
    max_invalid_share: float,
) -> None:
    """Checks the options that a number's least value does not describe.

    Raises:
        ConfigError: One does not fit.
        UnknownNameError: There is no such advantage.
    """
    if not 0 <= max_invalid_share <= 1:
        raise ConfigError(f"max_invalid_share must be from 0 to 1, not {max_invalid_share}.")
    if advantage not in ADVANTAGES:
        raise UnknownNameError("advantage", advantage, ADVANTAGES)
    if advantage in GROUP_ADVANTAGES and group_size < 2:
        raise ConfigError(
            f"advantage='{advantage}' compares episodes of the same prompt: set group_size "
            "to 2 or more."
        )
    if dual_clip is not None and not dual_clip > 1:
        raise ConfigError(f"dual_clip must be above 1, not {dual_clip}.")
    if importance_cap is not None and not importance_cap > 0:
        raise ConfigError(f"importance_cap must be above 0, not {importance_cap}.")


def check_sampler(sampler: str | None, n_ranks: int) -> None:
    """Checks that what writes rollouts is known, and fits the number of processes.

    Raises:
        UnknownNameError: There is no such sampler.
        ConfigError: It is not for runs of several processes.
    """
    if sampler is None:
        return
    if sampler not in SAMPLERS:
        raise UnknownNameError("sampler", sampler, SAMPLERS)
    if n_ranks > 1:
        raise ConfigError("sampler is for runs of a single process. Leave it out.")


def check_groups(env: VecEnv, n_episodes: int, group_size: int) -> None:
    """Checks that a rollout divides into groups of episodes of the same prompt.

    Args:
        env: The slots of this process.
        n_episodes: That it plays in a rollout.
        group_size: Episodes of each prompt.

    Raises:
        ConfigError: It does not.
    """
    if group_size == 1:
        return
    if not isinstance(env, TextVecEnv):
        raise ConfigError("group_size needs an environment made with gymnasium.make_vec.")
    for name, n in (("n_episodes", n_episodes), ("n_envs", env.num_envs)):
        if n % group_size:
            raise ConfigError(
                f"{name} = {n} does not divide into groups of {group_size}. Choose a "
                f"multiple of group_size."
            )


def most_tokens(env: VecEnv) -> int:
    """Returns how many tokens the agent can write in an episode.

    Of environments in other processes only the budget of a turn is seen.
    """
    turn = int(env.observation_space["remaining"].high[0])  # type: ignore[index] # `check_token_level` saw a Dict
    if isinstance(env.unwrapped, SubprocVecEnv):
        return turn
    return turn * int(env.get_attr("core", indices=0)[0].max_turns)


def check_token_level(space: gym.Space[Any]) -> None:
    """Checks that the agent of an environment with this observation space writes tokens.

    Raises:
        ConfigError: It does not.
    """
    if isinstance(space, AnyText | MessagesSpace):
        raise ConfigError(
            "TextPPO learns token by token, and this environment is at text level. Make it with "
            'action_level="token": the task and its rewards are the same.'
        )
    if find_action_level(space) == "select":
        raise ConfigError(
            "TextPPO learns token by token, and this environment is at select level. Make it with "
            'action_level="token", or learn to select with stable_baselines3.PPO(LMPolicy, env).'
        )
