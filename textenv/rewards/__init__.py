"""Rewards: batched scores of finished episodes, by name or from your own functions."""

from textenv.rewards.base import Reward, RewardResult, compute_rewards, from_function
from textenv.rewards.loading import load_reward, register_reward
from textenv.rewards.normalise import fit_reward
from textenv.rewards.score import score

__all__ = [
    "Reward",
    "RewardResult",
    "compute_rewards",
    "fit_reward",
    "from_function",
    "load_reward",
    "register_reward",
    "score",
]
