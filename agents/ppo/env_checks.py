"""Checks that an environment shows text as a language model can read and learn from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from agents.ppo.vec_env import find_text_env
from textenv.errors import ConfigError
from textenv.spaces import AnyText, MessagesSpace
from textenv.vector import TextVectorEnv

TOKEN_KEYS = {"attention_mask", "input_ids", "remaining"}
SELECT_KEYS = {"attention_mask", "candidate_ids", "candidate_mask", "input_ids"}
# Characters of a space in an error.
_LONGEST_SPACE = 200


def find_action_level(space: spaces.Space[Any]) -> Literal["token", "select"]:
    """Returns the action level of an environment that shows its text as tokens.

    Raises:
        ConfigError: It shows something else, or a wrapper has altered what it shows.
    """
    keys = set(space.spaces) if isinstance(space, spaces.Dict) else set()
    if keys not in (TOKEN_KEYS, SELECT_KEYS):
        raise ConfigError(
            "A language model needs an environment that shows text as tokens, for instance "
            "gymnasium.make('TextSummarize-v0'), whose action_level is token or select; this one "
            f"observes {_shorten(space)}."
        )
    assert isinstance(space, spaces.Dict)
    for key, part in space.items():
        is_row = isinstance(part, spaces.Box) and len(part.shape) == 1
        if (
            not is_row
            or not np.issubdtype(part.dtype, np.integer)
            or (key == "remaining" and part.shape != (1,))
        ):
            raise ConfigError(
                f"A wrapper has altered what the environment shows: its '{key}' is "
                f"{_shorten(part)}. A language model reads token ids as they are, once: leave out "
                "VecNormalize (or give it norm_obs=False), VecFrameStack and their like."
            )
    return "token" if keys == TOKEN_KEYS else "select"


def check_observations(observation: Any, vocab_size: int) -> None:
    """Checks that observations are texts that begin in the first column.

    Args:
        observation: Arrays or tensors by name, with a row for each slot.
        vocab_size: Number of token ids.

    Raises:
        ConfigError: A text is empty, is padded on its left or has gaps, or an id does not exist.
    """
    if not isinstance(observation, Mapping):
        raise ConfigError(
            "An observation is a dict of arrays, as the environment returns it, not a "
            f"{type(observation).__name__}."
        )
    ids, mask = observation["input_ids"], observation["attention_mask"]
    if not len(ids):
        raise ConfigError("There are no observations: give one row or more.")
    rows = (
        (mask[:, 0] != 1) | (mask[:, 1:] > mask[:, :-1]).any(1) | ((mask != 0) & (mask != 1)).any(1)
    )
    if rows.any():
        raise ConfigError(
            f"The attention_mask of row {int(rows.nonzero()[0][0])} is not ones followed by zeros. "
            "A text begins in the first column and is padded on its right: hand on what the "
            "environment returns, without VecNormalize, VecFrameStack or padding on the left."
        )
    wrong = (ids < 0) | (ids >= vocab_size)
    if wrong.any():
        raise ConfigError(
            f"An input_id is {int(ids[wrong][0])}, but the environment's ids end at "
            f"{vocab_size - 1}: make the observation with its own tokenizer."
        )


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


def _shorten(space: spaces.Space[Any]) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= _LONGEST_SPACE else text[:_LONGEST_SPACE] + " ..."
