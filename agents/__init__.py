"""Agents for text environments: a language-model policy, and PPO that trains it.

Public are the names listed here and in these modules; everything else is internal:

- `agents.integrations.nemo_gym`: environments for NeMo Gym, through OpenEnv;
- `agents.integrations.sb3_evaluation`: SB3's evaluation of environments of `gymnasium.make_vec`;
- `agents.integrations.sb3_features`: features of text for stock Stable-Baselines3 algorithms;
- `agents.integrations.trl`: environments for TRL's GRPOTrainer;
- `agents.integrations.trl_tools`: environments as tools, for its `environment_factory`;
- `agents.integrations.verl`: environments for verl;
- `agents.training.agent_evaluation`: any agent evaluated, also a model behind a chat endpoint;
- `agents.training.guards`: guards on learning, for `TextPPO.learn` and for rows of metrics.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.integrations.sb3_evaluation import EvalCallback, evaluate_policy
    from agents.models.loading import load_model_tokenizer
    from agents.models.options import PolicyOptions
    from agents.policy.lm_policy import LMPolicy
    from agents.ppo.options import PPOOptions
    from agents.ppo.ppo import TextPPO
    from agents.ppo.vec_env import TextVecEnv
    from agents.training.config import TrainConfig, load_config
    from agents.training.evaluation import Evaluation
    from agents.training.held_out import evaluate_policy_on_split, load_policy
    from agents.training.run import train

__all__ = [
    "EvalCallback",
    "Evaluation",
    "LMPolicy",
    "PPOOptions",
    "PolicyOptions",
    "TextPPO",
    "TextVecEnv",
    "TrainConfig",
    "evaluate_policy",
    "evaluate_policy_on_split",
    "load_config",
    "load_model_tokenizer",
    "load_policy",
    "train",
]

# Imported when they are asked for: the command line need not wait for torch.
_MODULES = {
    "EvalCallback": "integrations.sb3_evaluation",
    "Evaluation": "training.evaluation",
    "LMPolicy": "policy.lm_policy",
    "PPOOptions": "ppo.options",
    "PolicyOptions": "models.options",
    "TextPPO": "ppo.ppo",
    "TextVecEnv": "ppo.vec_env",
    "TrainConfig": "training.config",
    "evaluate_policy": "integrations.sb3_evaluation",
    "evaluate_policy_on_split": "training.held_out",
    "load_config": "training.config",
    "load_model_tokenizer": "models.loading",
    "load_policy": "training.held_out",
    "train": "training.run",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'agents' has no attribute '{name}'")
    return getattr(import_module(f"agents.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
