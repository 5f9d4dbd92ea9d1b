"""What algorithms of SB3 and sb3-contrib ask of a policy, and which of them a language model lacks.

PPO, A2C, TRPO and MaskablePPO train `LMPolicy`. The others are refused when they are made.
"""

from __future__ import annotations

import sys
import warnings

from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn

from textenv.errors import ConfigError

# Networks that algorithms look for in their policies, and why there are none.
_LEARNS_VALUES = (
    "{} learns the value of every action, and a language model is a distribution over them. Train "
    "it with agents.TextPPO, or with SB3's PPO or A2C. At select level {} learns with "
    "'MultiInputPolicy' and agents.integrations.sb3_features.candidate_policy_kwargs(env)."
)
_OTHER_NETWORKS = {
    "q_net": _LEARNS_VALUES.format("DQN", "DQN"),
    "quantile_net": _LEARNS_VALUES.format("QR-DQN", "QR-DQN"),
    "lstm_actor": (
        "RecurrentPPO carries an LSTM's state from step to step, and a language model reads the "
        "whole text at every step, so it needs none. Train it with agents.TextPPO, or with SB3's "
        "PPO. At select level RecurrentPPO learns with 'MultiInputLstmPolicy' and "
        "agents.integrations.sb3_features.candidate_policy_kwargs(env)."
    ),
}


class _WrongAlgorithmError(ConfigError, AttributeError):
    """The algorithm needs a network that a language model has not."""


def refuse_network(name: str) -> None:
    """Raises ConfigError if an attribute is a network that only a refused algorithm looks for."""
    if name in _OTHER_NETWORKS:
        raise _WrongAlgorithmError(_OTHER_NETWORKS[name])


def require_schedule(lr_schedule: Schedule | None) -> Schedule:
    """Returns the learning rate's schedule; ConfigError if an algorithm gives its policy none."""
    if lr_schedule is None:
        raise ConfigError(
            "LMPolicy learns by gradients and needs an lr_schedule, a function of the progress "
            "that remains. ARS searches at random instead, which a language model has too many "
            "weights for: use agents.TextPPO, or SB3's PPO or A2C."
        )
    return lr_schedule


def register_for_masks(policy: type[ActorCriticPolicy]) -> None:
    """Says to sb3-contrib's MaskablePPO, where it is in use, that a policy takes its masks."""
    maskable = sys.modules.get("sb3_contrib.common.maskable.policies")
    if maskable is not None:
        maskable.MaskableActorCriticPolicy.register(policy)


def warn_of_trpo(lm: nn.Module) -> None:
    """Warns of weights that TRPO, where it is in use, takes for the critic's by their names."""
    if "sb3_contrib.trpo" not in sys.modules:
        return
    names = [n for n, p in lm.named_parameters() if "value" in n and p.requires_grad]
    if names:
        warnings.warn(
            "sb3_contrib's TRPO leaves out every parameter with 'value' in its name, and lets "
            f"the value loss train it, outside of its trust region: {names[0]} and "
            f"{len(names) - 1} more of this model. Use LoRA on other layers, or PPO.",
            # In the algorithm: `get_distribution` of the policy is in between.
            stacklevel=3,
        )
