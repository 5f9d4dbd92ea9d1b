"""The losses of PPO token by token, for the trainer to sum and divide by the global count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.ppo.kl import k1, k3
from agents.ppo.options import PPOOptions
from agents.ppo.schedules import number

# exp(20) is far beyond any clip range, and far from overflow in float32.
MAX_LOG_RATIO = 20.0


@dataclass(frozen=True)
class PolicyStats:
    """Statistics of the policy's change, summed over some tokens, without gradient."""

    clipped_high: Tensor  # tokens whose ratio lies above the clip range
    clipped_low: Tensor  # tokens whose ratio lies below it
    k1: Tensor  # -log r, an estimate of KL(pi_old, pi)
    k3: Tensor  # (r - 1) - log r, Stable-Baselines3's approx_kl
    ratio: Tensor
    ratio_max: Tensor  # the largest ratio, not a sum


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    options: PPOOptions,
    importance_weights: Tensor | None = None,
) -> tuple[Tensor, PolicyStats]:
    """Returns PPO's clipped loss -min(r A, clip(r, 1 - eps, 1 + eps_high) A) of each token.

    eps is `clip_range`, eps_high `clip_range_high` if given. With `dual_clip` c the loss of a
    negative advantage is at most c |A|, however large the ratio. The log-ratio is held within
    `MAX_LOG_RATIO`, so that no token overflows; beyond that it has no gradient.

    Args:
        logprobs: (n,) log-probabilities under the policy that learns.
        old_logprobs: (n,) log-probabilities under the policy that the update started from.
        advantages: (n,) advantages, whitened or not.
        options: Options of this moment (`PPOOptions.at`), whose clipping ranges are numbers.
        importance_weights: (n,) weights of the tokens' losses, without gradient; see
            `truncated_importance_weights`.

    Returns:
        Losses (n,), not averaged, and the sums of the statistics.
    """
    low = number(options.clip_range)
    high = low if options.clip_range_high is None else options.clip_range_high
    log_ratio = (logprobs - old_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio = log_ratio.exp()
    clipped_ratio = ratio.clamp(1.0 - low, 1.0 + high)
    losses = -torch.minimum(ratio * advantages, clipped_ratio * advantages)
    if options.dual_clip is not None:
        held = torch.minimum(losses, -options.dual_clip * advantages)
        losses = torch.where(advantages < 0, held, losses)
    if importance_weights is not None:
        losses = losses * importance_weights.detach()
    with torch.no_grad():
        zero = torch.zeros_like(log_ratio)
        change = ratio - 1.0
        stats = PolicyStats(
            clipped_high=(change > high).sum(),
            clipped_low=(change < -low).sum(),
            k1=k1(zero, log_ratio).sum(),
            k3=k3(zero, log_ratio).sum(),
            ratio=ratio.sum(),
            ratio_max=ratio.max(),
        )
    return losses, stats


def aggregation_weights(
    action_mask: Tensor, kind: str, masked: Tensor | None, max_tokens: int
) -> Tensor | None:
    """Returns what each token counts in the policy loss of a minibatch; None for 1 everywhere.

    The loss is the weighted sum over tokens, divided by `aggregation_size`.

    - "token": the mean over all tokens, as in DAPO (https://arxiv.org/abs/2503.14476).
    - "sequence": the mean over the tokens of each episode, then over episodes, as in GRPO
      (https://arxiv.org/abs/2402.03300).
    - "constant": the sum over an episode's tokens divided by the most that it may have, then the
      mean over episodes, as in Dr. GRPO (https://arxiv.org/abs/2503.20783) and TRL.

    Args:
        action_mask: (batch, time) True where the agent wrote the token.
        kind: One of these.
        masked: (batch,) True for episodes that do not count; None for none.
        max_tokens: Most tokens that the agent may write in an episode.

    Returns:
        (batch, time), 0 off the agent's tokens.
    """
    if kind == "token" and masked is None:
        return None
    weights = action_mask.float()
    if kind == "sequence":
        weights = weights / action_mask.sum(dim=1, keepdim=True).clamp(min=1)
    elif kind == "constant":
        weights = weights / max_tokens
    return weights if masked is None else weights * ~masked[:, None]


def aggregation_size(weights: Tensor, kind: str) -> Tensor:
    """Returns what the weighted sum over a minibatch's tokens is divided by.

    Args:
        weights: (batch, time) `aggregation_weights` of the minibatch's episodes.
        kind: As there.
    """
    if kind == "constant":
        return weights.new_tensor(len(weights))
    return weights.sum()


@torch.no_grad()
def truncated_importance_weights(
    old_logprobs: Tensor, sampler_logprobs: Tensor, cap: float
) -> Tensor:
    """Returns min(pi_old / pi_sampler, cap) of each token, without gradient.

    Corrects for a sampler whose arithmetic differs from the trainer's: truncated importance
    sampling, after Yao et al. (2025), "Your efficient RL framework secretly brings you off-policy
    RL training". Token by token and without a lower bound, as verl does by default and TRL in its
    mode "token_truncate".

    Args:
        old_logprobs: (...) log-probabilities under the policy that the update starts from, as the
            trainer computes them.
        sampler_logprobs: (...) log-probabilities of the same tokens, as the sampler computed them.
        cap: Largest weight.
    """
    log_ratio = (old_logprobs - sampler_logprobs).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    return log_ratio.exp().clamp(max=cap)


def value_loss(values: Tensor, old_values: Tensor, returns: Tensor, options: PPOOptions) -> Tensor:
    """Returns the squared error of each value; the caller takes the mean, times `vf_coef`.

    With `clip_range_vf`, in units of the reward, it is the larger of the errors of V and of V
    clipped to that range around the old value, so clipping never makes a wrong value look right.

    Args:
        values: (n,) values of the critic that learns.
        old_values: (n,) values of the critic when the update started.
        returns: (n,) targets of the values.
        options: Options of this moment (`PPOOptions.at`), whose clipping ranges are numbers.

    Returns:
        Losses (n,), not averaged.
    """
    errors = (values - returns).square()
    if options.clip_range_vf is None:
        return errors
    most = number(options.clip_range_vf)
    held = old_values + (values - old_values).clamp(-most, most)
    return torch.maximum(errors, (held - returns).square())
