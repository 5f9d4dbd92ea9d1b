"""Epochs over a rollout, in minibatches of episodes, each with one step of the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from agents.policy.lm_policy import LMPolicy
from agents.ppo.distributed import Ranks
from agents.ppo.options import PPOOptions
from agents.ppo.steps import OptimizerSteps


@dataclass
class Epochs:
    """What an update has done."""

    n_finished: int = 0  # Epochs that were not cut short by `target_kl`
    # Metrics of each minibatch, in their order, as `accumulate_gradients` and the steps return them
    found: dict[str, list[float]] = field(default_factory=dict)

    def add(self, metrics: Mapping[str, float]) -> None:
        """Adds metrics of a minibatch."""
        for name, value in metrics.items():
            self.found.setdefault(name, []).append(value)

    def metrics(self, has_critic: bool, ranks: Ranks) -> dict[str, float]:
        """Returns the numbers to log; all processes must call it."""
        found = dict(self.found)
        # Exactly 1 and 0 unless precision or dropout differ between the two passes.
        first_ratio, first_kl = found.pop("ratio")[0], found["approx_kl"][0]
        ratio_max = max(ranks.gather(max(found.pop("ratio_max"))))
        if not has_critic:
            del found["value_loss"]
        means = {name: float(np.mean(values)) for name, values in found.items()}
        first = {"first_ratio": first_ratio, "first_kl": first_kl}
        metrics = {**first, "ratio_max": ratio_max, **means}
        return {f"train/{name}": value for name, value in metrics.items()}


def run_epochs(
    policy: LMPolicy,
    groups: Tensor,
    accumulate: Callable[[Tensor], Mapping[str, float]],
    steps: OptimizerSteps,
    options: PPOOptions,
    ranks: Ranks,
) -> Epochs:
    """Goes over a rollout `n_epochs` times, or until the KL to the old policy passes `target_kl`.

    Args:
        policy: Policy that learns.
        groups: (n,) equal for episodes of one group, of the rollout of this process. A group's
            episodes stand together, in one minibatch where they fit.
        accumulate: Leaves the gradient of the minibatch of these episodes (n,) in the parameters,
            and returns its metrics.
        steps: Takes the steps.
        options: Options of this moment (`PPOOptions.at`).
        ranks: Processes of the run.

    Raises:
        DivergedError: Too many steps in a row were not finite.
    """
    epochs = Epochs()
    batch_size = ranks.share(options.batch_size, "batch_size")
    # Where episodes could not be scored, a process may have fewer minibatches than another.
    n_minibatches = ranks.most(-(-len(groups) // batch_size))
    for _ in range(options.n_epochs):
        order = _shuffle(groups, options.group_size)
        for start in range(0, n_minibatches * batch_size, batch_size):
            stats = accumulate(order[start : start + batch_size])
            epochs.add(stats)
            if options.target_kl is not None and stats["approx_kl"] > 1.5 * options.target_kl:
                return epochs
            epochs.add(steps.step(policy, stats, options, ranks))
        epochs.n_finished += 1
    return epochs


def _shuffle(groups: Tensor, group_size: int) -> Tensor:
    """Returns the numbers of all episodes (n,) in a random order of their groups."""
    if group_size == 1:
        return torch.randperm(len(groups), device=groups.device)
    number = torch.unique(groups, return_inverse=True)[1]
    place = torch.randperm(int(number.max()) + 1, device=groups.device)
    return torch.argsort(place[number], stable=True)
