"""Agents for text environments: a language-model policy, and PPO that trains it."""

from agents.policy import LMPolicy
from agents.ppo import TextPPO

__all__ = ["LMPolicy", "TextPPO"]
