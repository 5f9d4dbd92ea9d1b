"""The losses of PPO token by token, for the trainer to sum and divide by the global count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.kl import k1, k3

# exp(20) is far beyond any clip range, and far from overflow in float32.
MAX_LOG_RATIO = 20.0


@dataclass(frozen=True)
class PolicyStats:
    """What happened to the policy on some tokens: sums over them, without gradient."""

    clipped: Tensor  # tokens whose ratio lies outside the clip range, on either side
    k1: Tensor  # -log r, an estimate of KL(pi_old, pi)
    k3: Tensor  # (r - 1) - log r, Stable-Baselines3's approx_kl
    ratio: Tensor


def policy_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, *, clip_range: float
) -> tuple[Tensor, PolicyStats]:
    """Returns PPO's clipped loss -min(r A, clip(r, 1 - eps, 1 + eps) A) of each token.

    Args:
        logprobs: (n,) log-probabilities under the policy that learns.
        old_logprobs: (n,) under the policy that acted.
        advantages: (n,) whitened or not.
        clip_range: eps.

    Returns:
        Losses (n,), not averaged, and the sums of the statistics.
    """
    log_ratio = (logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio = log_ratio.exp()
    clipped_ratio = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    losses = -torch.minimum(ratio * advantages, clipped_ratio * advantages)
    with torch.no_grad():
        zero = torch.zeros_like(log_ratio)
        stats = PolicyStats(
            clipped=((ratio - 1.0).abs() > clip_range).sum(),
            k1=k1(zero, log_ratio).sum(),
            k3=k3(zero, log_ratio).sum(),
            ratio=ratio.sum(),
        )
    return losses, stats


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, *, clip_range_vf: float | None = None
) -> Tensor:
    """Returns the squared error of each value; `vf_coef` and the mean are the caller's.

    With a clip range, the larger of the errors of V and of V held within `clip_range_vf` of the old
    value: being clipped never makes a wrong value look right.

    Args:
        values: (n,) of the critic that learns.
        old_values: (n,) of the critic when it acted.
        returns: (n,) the targets.
        clip_range_vf: how far a value may move, in units of the reward; None: any distance.

    Returns:
        Losses (n,), not averaged.
    """
    errors = (values - returns).square()
    if clip_range_vf is None:
        return errors
    held = old_values + (values - old_values).clamp(-clip_range_vf, clip_range_vf)
    return torch.maximum(errors, (held - returns).square())
