"""Checks what an agent is asked for, before a model or an environment is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.models.options import PolicyOptions, policy_options
from agents.policy.lm_policy import LMPolicy
from agents.ppo.distributed import Ranks
from agents.ppo.options import PPOOptions
from agents.ppo.trackers import check_trackers
from textenv.errors import ConfigError

# Arguments of `LMPolicy` that are no options of `PolicyOptions`.
_OPTIMIZER_ARGUMENTS = ("optimizer_class", "optimizer_kwargs")


def check_run(
    policy: type[LMPolicy], policy_kwargs: Mapping[str, Any], options: PPOOptions, ranks: Ranks
) -> None:
    """Checks the arguments of an agent against each other, its packages and its processes.

    Args:
        policy: Class of the policy.
        policy_kwargs: Arguments of the policy.
        options: Options of PPO.
        ranks: Processes of the run.

    Raises:
        ConfigError: One does not fit.
        UnknownNameError: An option of the policy does not exist.
    """
    check_trackers(options.log)
    _check_policy_kwargs(policy, policy_kwargs)
    if options.sampler is not None and ranks.size > 1:
        raise ConfigError("sampler is for runs of a single process. Leave it out.")
    for name in ("n_episodes", "batch_size"):
        ranks.share(getattr(options, name), name)


def _check_policy_kwargs(policy: type[LMPolicy], kwargs: Mapping[str, Any]) -> None:
    """Checks the options of a policy that is not made yet; a subclass may take further ones."""
    policy_options(
        {
            name: value
            for name, value in kwargs.items()
            if name not in _OPTIMIZER_ARGUMENTS
            and (policy is LMPolicy or name in PolicyOptions.model_fields)
        }
    )
