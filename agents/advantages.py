"""Generalised advantage estimation over the agent's tokens."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def compute_gae(
    rewards: Tensor,
    values: Tensor,
    action_mask: Tensor,
    gamma: float,
    gae_lambda: float,
    last_values: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Estimates the advantage of each token that the agent wrote (Schulman et al., 2016).

    With t and t' two successive tokens of the agent, whatever the environment wrote between them:

        delta_t = r_t + gamma V(t') - V(t)
        A_t = delta_t + gamma lambda A_t'

    The environment's tokens neither discount nor decay, and their values are not used. A reward
    that stands on one of them belongs to the last token that the agent wrote before it.

    Args:
        rewards: (batch, time) reward of each token.
        values: (batch, time) V of the state before each token.
        action_mask: (batch, time) True where the agent wrote the token.
        gamma: discount per token of the agent.
        gae_lambda: decay of the sum of errors per token of the agent.
        last_values: (batch,) V of the state after the last token, for episodes that were cut off;
            0, or no tensor at all, for finished ones.

    Returns:
        Advantages and returns (advantages + values), (batch, time), zero where the mask is False.
    """
    n_batch, n_time = rewards.shape
    if last_values is None:
        last_values = values.new_zeros(n_batch)
    # Column 0 takes what comes before the agent's first token, and what must not be used.
    column = action_mask.long().cumsum(1)
    own_column = column * action_mask
    packed_rewards = rewards.new_zeros(n_batch, n_time + 1).scatter_add_(1, column, rewards)
    packed_values = values.new_zeros(n_batch, n_time + 1).scatter_(1, own_column, values)
    is_token = torch.arange(n_time + 1, device=column.device) <= column[:, -1:]

    packed = torch.zeros_like(packed_values)
    next_advantages, next_values = torch.zeros_like(last_values), last_values
    # A row shorter than the batch carries (0, last_values) down to its own last token.
    for i in range(int(column[:, -1].max()), 0, -1):
        delta = packed_rewards[:, i] + gamma * next_values - packed_values[:, i]
        advantages = delta + gamma * gae_lambda * next_advantages
        next_advantages = torch.where(is_token[:, i], advantages, next_advantages)
        next_values = torch.where(is_token[:, i], packed_values[:, i], next_values)
        packed[:, i] = next_advantages
    result = torch.where(action_mask, packed.gather(1, column), 0.0)
    return result, torch.where(action_mask, result + values, 0.0)


def whiten(x: Tensor, mask: Tensor, shift_mean: bool = True, eps: float = 1e-8) -> Tensor:
    """Divides by the standard deviation over a mask, after taking off the mean.

    Like `normalize_advantage` of Stable-Baselines3: the deviation is the unbiased one, and fewer
    than two values are left as they are.

    Args:
        x: (...) any values.
        mask: (...) True for the values that count.
        shift_mean: whether to take off the mean; without, signs are kept.
        eps: added to the standard deviation.

    Returns:
        (...) like x, zero where the mask is False.
    """
    x = torch.where(mask, x, 0.0)
    n = mask.sum()
    mean = x.sum() / n.clamp(min=1)
    squares = torch.where(mask, (x - mean).square(), 0.0)
    std = (squares.sum() / (n - 1).clamp(min=1)).sqrt()
    scaled = (x - mean if shift_mean else x) / (std + eps)
    return torch.where(mask & (n > 1), scaled, x)
