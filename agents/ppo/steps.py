"""Optimizer steps: gradients held within limits, and no step along one that is not a number."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import torch

from agents.policy.lm_policy import LMPolicy
from agents.ppo.distributed import Ranks
from agents.ppo.options import PPOOptions
from agents.ppo.sharding import whole
from textenv.errors import TextEnvError

MOST_SKIPPED = 5  # steps in a row that are skipped before a run ends
_log = logging.getLogger(__name__)


class DivergedError(TextEnvError, RuntimeError):
    """Losses or gradients are not finite, step after step. The weights are still sound."""


class OptimizerSteps:
    """Takes the steps of an optimizer, and skips those whose loss or gradient is not finite.

    One such step would make every weight NaN. Skipping it, as loss scaling does, costs a minibatch;
    several in a row have a cause that does not go away.

    Attributes:
        taken: Number of steps so far.
        skipped: Number of steps that were skipped.
        in_a_row: How many were skipped since the last that was taken.
        fault: What was found not to be finite in the rollout, in words; "" if nothing was.
    """

    def __init__(self) -> None:
        self.taken = 0
        self.skipped = 0
        self.in_a_row = 0
        self.fault = ""

    def step(
        self, policy: LMPolicy, stats: Mapping[str, float], options: PPOOptions, ranks: Ranks
    ) -> dict[str, float]:
        """Takes a step along the gradient that is in the parameters, or skips it.

        Args:
            policy: Policy that learns.
            stats: Metrics of the minibatch, as `accumulate_gradients` returns them.
            options: Options, of which the limits of gradient norms are used.
            ranks: Processes of the run; all take the step, or none.

        Returns:
            The norms of the gradient before it was clipped.

        Raises:
            DivergedError: It is the last of `MOST_SKIPPED` that were skipped in a row.
        """
        norms = clip_gradients(policy, options)
        numbers = {"loss": stats["loss"], **norms}
        if not ranks.any(not all(map(math.isfinite, numbers.values()))):
            policy.optimizer.step()
            self.taken += 1
            self.in_a_row = 0
            return norms
        policy.optimizer.zero_grad()
        self.skipped += 1
        self.in_a_row += 1
        found = ", ".join(f"{name} {number:g}" for name, number in numbers.items())
        reason = f"{found}{'; ' if self.fault else ''}{self.fault}"
        _log.warning("An optimizer step was skipped: %s.", reason)
        if self.in_a_row >= MOST_SKIPPED:
            # Whoever goes on from here has mended something.
            self.in_a_row = 0
            raise DivergedError(
                f"{MOST_SKIPPED} optimizer steps in a row were skipped, since their loss or "
                f"gradient was not finite ({reason}). The weights are those before the first of "
                "them. Lower learning_rate, compute with bf16=false, or look at the rewards."
            )
        return norms

    def metrics(self) -> dict[str, float]:
        """Returns the numbers to log."""
        return {"train/optimizer_steps": self.taken, "train/skipped_steps": self.skipped}

    def state_dict(self) -> dict[str, int]:
        """Returns the counters for a checkpoint."""
        return {"taken": self.taken, "skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Restores what `state_dict` returned."""
        self.taken, self.skipped = state["taken"], state["skipped"]
        self.in_a_row = state["in_a_row"]


def clip_gradients(policy: LMPolicy, options: PPOOptions) -> dict[str, float]:
    """Holds gradient norms within their limits; returns what they were."""
    clip = torch.nn.utils.clip_grad_norm_
    if options.max_grad_norm_critic is None:
        norm = clip(policy.parameters(), options.max_grad_norm)
        return {"grad_norm": float(whole(norm))}
    critic = policy.critic_parameters()
    ids = {id(parameter) for parameter in critic}
    actor = [p for p in policy.parameters() if id(p) not in ids]
    return {
        "grad_norm": float(whole(clip(actor, options.max_grad_norm))),
        "grad_norm_critic": float(whole(clip(critic, options.max_grad_norm_critic))),
    }
