"""Kullback-Leibler divergences from samples, and the coefficient of the penalty on them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def k1(logprobs: Tensor, other_logprobs: Tensor) -> Tensor:
    """Returns log p - log q per sample of p: unbiased for KL(p, q), of either sign.

    Args:
        logprobs: (...) log p of samples drawn from p.
        other_logprobs: (...) log q of the same samples.
    """
    return logprobs - other_logprobs


def k3(logprobs: Tensor, other_logprobs: Tensor) -> Tensor:
    """Returns (r - 1) - log r, r = q / p, per sample of p: unbiased and never negative.

    http://joschu.net/blog/kl-approx.html; the `approx_kl` of Stable-Baselines3.

    Args:
        logprobs: (...) log p of samples drawn from p.
        other_logprobs: (...) log q of the same samples.
    """
    log_ratio = other_logprobs - logprobs
    # expm1 keeps the digits that exp(x) - 1 loses near x = 0, where all of training happens.
    return torch.expm1(log_ratio) - log_ratio


@torch.no_grad()
def kl_penalty(logprobs: Tensor, ref_logprobs: Tensor) -> Tensor:
    """Returns the divergence from the reference at each token, to be subtracted from the reward.

    It is k1 and carries no gradient: as part of the reward its expected gradient is that of the
    divergence of whole sequences, which it would not be as a loss.

    Args:
        logprobs: (...) of the sampled tokens under the policy that sampled them.
        ref_logprobs: (...) of the same tokens under the reference model.
    """
    return k1(logprobs, ref_logprobs)


class KLController:
    """The coefficient of the KL penalty: fixed, or steering the divergence towards a target.

    coef *= 1 + clip(kl / target - 1, -0.2, 0.2) * n / horizon, after Ziegler et al. (2019),
    https://arxiv.org/abs/1909.08593. More than `horizon` episodes at once count as `horizon`, so
    that no single iteration can turn the coefficient negative.

    Args:
        coef: Coefficient at the start, per nat.
        target: Target of the divergence, in nats per episode; None keeps the coefficient.
        horizon: Number of episodes over which the coefficient may change by a fifth.
    """

    def __init__(self, coef: float, target: float | None, horizon: int) -> None:
        self.coef = float(coef)
        self.target = target
        self.horizon = horizon

    def update(self, kl: float, n_episodes: int) -> None:
        """Adapts the coefficient after an iteration, if there is a target and the KL is a number.

        Args:
            kl: Mean over episodes of the divergence summed over the episode's tokens, in nats.
            n_episodes: The number of episodes in that mean.
        """
        if self.target is not None and math.isfinite(kl):
            error = min(max(kl / self.target - 1.0, -0.2), 0.2)
            self.coef *= 1.0 + error * min(n_episodes / self.horizon, 1.0)

    def state_dict(self) -> dict[str, float]:
        """Returns the state for a checkpoint, as plain numbers."""
        return {"coef": self.coef}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restores what `state_dict` returned."""
        self.coef = float(state["coef"])
