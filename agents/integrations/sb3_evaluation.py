"""Stable-Baselines3's evaluation, for environments made by `gymnasium.make_vec` and for ids too.

    from agents import EvalCallback, evaluate_policy

    evaluate_policy(agent, gym.make_vec("TextSummarize-v0", num_envs=16, split="validation"), 64)
    agent.learn(total_episodes=512, callback=EvalCallback("TextSummarize-v0", eval_freq=100))

SB3's own functions take its `VecEnv` and single environments, and so `agents.TextVecEnv`.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv
from stable_baselines3.common import callbacks, evaluation
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import VecEnv

from agents.ppo.vec_env import TextVecEnv

__all__ = ["EvalCallback", "evaluate_policy"]

# Slots of an environment that is given by its id.
_N_SLOTS = 16

AnyEnv = VecEnv | VectorEnv[Any, Any, Any] | gym.Env[Any, Any] | str


def evaluate_policy(
    model: PolicyPredictor, env: AnyEnv, n_eval_episodes: int = 10, *args: Any, **kwargs: Any
) -> tuple[float, float] | tuple[list[float], list[int]]:
    """Plays episodes and returns the mean and the deviation of their rewards.

    Args:
        model: Agent or policy.
        env: Result of `gymnasium.make_vec` or `gymnasium.make`, an SB3 `VecEnv`, or an id, whose
            test split is not chosen unless the environment's `split` says so.
        n_eval_episodes: Number of episodes.
        args: Further arguments of SB3's function of this name.
        kwargs: The same.

    Returns:
        As SB3's: with `return_episode_rewards` the reward of each episode, and its number of
        actions.

    Raises:
        ConfigError: The environment is no text environment at token or select level.
    """
    slots = _as_vec_env(env, min(_N_SLOTS, max(1, n_eval_episodes)))
    return evaluation.evaluate_policy(model, slots, n_eval_episodes, *args, **kwargs)


class EvalCallback(callbacks.EvalCallback):
    """SB3's callback of this name: evaluates now and then, and keeps the best agent.

    Args:
        eval_env: As for `evaluate_policy`.
        args: Further arguments of SB3's class.
        kwargs: The same.
    """

    def __init__(self, eval_env: AnyEnv, *args: Any, **kwargs: Any) -> None:
        super().__init__(_as_vec_env(eval_env, _N_SLOTS), *args, **kwargs)


def _as_vec_env(env: AnyEnv, n_slots: int) -> Any:
    if isinstance(env, str):
        env = gym.make_vec(env, num_envs=n_slots)
    if isinstance(env, VectorEnv):
        return TextVecEnv(env)
    if isinstance(env, VecEnv) or is_wrapped(env, Monitor):
        return env
    return Monitor(env)
