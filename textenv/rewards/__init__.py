"""Rewards: batched scores of finished episodes, by name or from your own functions."""

from textenv.rewards.base import Reward, RewardResult, compute_rewards
from textenv.rewards.loading import load_reward, register_reward
from textenv.rewards.normalise import fit_reward
from textenv.rewards.score import score

__all__ = [
    "Reward",
    "RewardResult",
    "compute_rewards",
    "fit_reward",
    "load_reward",
    "register_reward",
    "score",
]
