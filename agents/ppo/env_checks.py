"""Checks that `TextPPO` can learn in an environment, as it is wrapped."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from agents.policy.observations import find_action_level
from agents.ppo.vec_env import find_text_env
from textenv.errors import ConfigError
from textenv.spaces import AnyText, MessagesSpace
from textenv.vector import TextVectorEnv


def check_wrappers(env: VecEnv) -> None:
    """Checks that wrappers of an SB3 environment hand on texts and rewards as they are.

    Wrappers that only watch are fine, such as VecMonitor, VecCheckNan and VecVideoRecorder.

    Raises:
        ConfigError: A wrapper alters them.
    """
    while isinstance(env, VecEnvWrapper):
        name = type(env).__name__
        if isinstance(env, VecNormalize):
            raise ConfigError(
                "VecNormalize alters token ids and rewards. Leave it out; TextPPO divides rewards "
                "by their standard deviation with scale_rewards=True."
            )
        if env.observation_space != env.venv.observation_space:
            raise ConfigError(
                f"{name} alters what the environment shows, and a language model reads token ids "
                f"as they are, once. Leave {name} out."
            )
        env = env.venv


def check_groups(env: VecEnv, n_episodes: int, group_size: int) -> None:
    """Checks that a rollout divides into groups of episodes of the same prompt."""
    if group_size == 1:
        return
    if find_text_env(env) is None:
        raise ConfigError("group_size needs an environment made with gymnasium.make_vec.")
    for name, n in (("n_episodes", n_episodes), ("n_envs", env.num_envs)):
        if n % group_size:
            raise ConfigError(
                f"{name} = {n} does not divide into groups of {group_size}. Choose a "
                f"multiple of group_size."
            )


def check_prompts(env: VecEnv, prompts: str) -> None:
    """Checks that the prompts of an environment can be chosen as the option of that name asks."""
    if prompts == "curriculum" and find_text_env(env) is None:
        raise ConfigError("prompts='curriculum' needs an environment made with gymnasium.make_vec.")


def check_training_env(env: Any) -> None:
    """Checks that `TextPPO` can learn in an environment.

    Args:
        env: An SB3 `VecEnv`, a vector environment of Gymnasium, or a single one.

    Raises:
        ConfigError: It is not at token level, or a wrapper alters what it shows or pays.
    """
    if isinstance(env, VecEnv):
        check_wrappers(env)
    check_token_level(getattr(env, "single_observation_space", env.observation_space))
    if isinstance(env, gym.vector.VectorEnv) and not isinstance(env, TextVectorEnv):
        raise ConfigError(
            f"TextPPO takes what gymnasium.make_vec returns as it is, not inside {env}."
        )


def check_token_level(space: gym.Space[Any]) -> None:
    """Checks that an observation space is that of a text environment at token level."""
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
