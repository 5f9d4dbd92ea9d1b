"""Agents for text environments: a language-model policy, and PPO that trains it.

Public are the names listed here and in these modules; everything else is internal:

- `agents.integrations.sb3_evaluation`: SB3's evaluation of environments of `gymnasium.make_vec`;
- `agents.integrations.sb3_features`: features of text for stock Stable-Baselines3 algorithms;
- `agents.integrations.trl`: environments for TRL's GRPOTrainer;
- `agents.integrations.verl`: environments for verl;
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
    from agents.training.agent_evaluation import EvaluationRecord, evaluate_agent
    from agents.training.agent_specs import AgentSpec, EvaluationSetting
    from agents.training.config import TrainConfig, load_config
    from agents.training.evaluation import Evaluation
    from agents.training.held_out import evaluate_policy_on_split, load_policy
    from agents.training.run import train
    from textenv.endpoints.chat_options import ChatOptions

__all__ = [
    "AgentSpec",
    "ChatOptions",
    "EvalCallback",
    "Evaluation",
    "EvaluationRecord",
    "EvaluationSetting",
    "LMPolicy",
    "PPOOptions",
    "PolicyOptions",
    "TextPPO",
    "TextVecEnv",
    "TrainConfig",
    "evaluate_agent",
    "evaluate_policy",
    "evaluate_policy_on_split",
    "load_config",
    "load_model_tokenizer",
    "load_policy",
    "train",
]

# Imported when they are asked for: the command line need not wait for torch.
_MODULES = {
    "AgentSpec": "agents.training.agent_specs",
    "ChatOptions": "textenv.endpoints.chat_options",
    "EvalCallback": "agents.integrations.sb3_evaluation",
    "Evaluation": "agents.training.evaluation",
    "EvaluationRecord": "agents.training.agent_evaluation",
    "EvaluationSetting": "agents.training.agent_specs",
    "LMPolicy": "agents.policy.lm_policy",
    "PPOOptions": "agents.ppo.options",
    "PolicyOptions": "agents.models.options",
    "TextPPO": "agents.ppo.ppo",
    "TextVecEnv": "agents.ppo.vec_env",
    "TrainConfig": "agents.training.config",
    "evaluate_agent": "agents.training.agent_evaluation",
    "evaluate_policy": "agents.integrations.sb3_evaluation",
    "evaluate_policy_on_split": "agents.training.held_out",
    "load_config": "agents.training.config",
    "load_model_tokenizer": "agents.models.loading",
    "load_policy": "agents.training.held_out",
    "train": "agents.training.run",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'agents' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
