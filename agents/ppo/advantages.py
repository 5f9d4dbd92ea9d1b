"""Advantages of the agent's tokens: with a critic (GAE), or from returns alone."""

from __future__ import annotations

from collections.abc import Callable

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

    The environment's tokens neither discount nor decay, and their values are not used. A reward on
    one of them belongs to the last token that the agent wrote before it.

    Args:
        rewards: (batch, time) reward of each token.
        values: (batch, time) V of the state before each token.
        action_mask: (batch, time) True where the agent wrote the token.
        gamma: Discount per token of the agent.
        gae_lambda: Decay of the sum of errors per token of the agent.
        last_values: (batch,) V of the state after the last token for truncated episodes, 0 for
            finished ones; None for 0 everywhere.

    Returns:
        Advantages and returns (advantages + values), (batch, time), zero where the mask is False.
    """
    n_batch, n_time = rewards.shape
    if last_values is None:
        last_values = values.new_zeros(n_batch)
    # Column 0 takes rewards before the agent's first token, and values that must not be used.
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


@torch.no_grad()
def compute_rloo(rewards: Tensor, action_mask: Tensor, groups: Tensor) -> Tensor:
    """Subtracts from each episode's return the mean return of the others in its group.

    Leave-one-out REINFORCE (Ahmadian et al., 2024, https://arxiv.org/abs/2402.14740), not
    normalised afterwards, as in the paper and in verl. The return is the sum of all rewards of the
    episode, including the penalty on the KL divergence; all tokens of the agent share it. Groups
    may differ in size; an episode alone in its group has advantage 0. A truncated episode counts
    with what it was paid until then, without a value for the rest.

    Args:
        rewards: (batch, time) reward of each token.
        action_mask: (batch, time) True where the agent wrote the token.
        groups: (batch,) int64, equal for episodes of the same prompt.

    Returns:
        (batch, time) advantages, zero where the mask is False.
    """
    centred, size, _ = _within_groups(rewards, groups)
    # R - (sum - R) / (n - 1) = (R - mean) n / (n - 1)
    advantages = centred * size / (size - 1).clamp(min=1)
    return torch.where(action_mask, advantages.to(rewards.dtype)[:, None], 0.0)


@torch.no_grad()
def compute_grpo(
    rewards: Tensor,
    action_mask: Tensor,
    groups: Tensor,
    scale_by_std: bool = True,
    eps: float = 1e-4,
) -> Tensor:
    """Standardises each episode's return within its group.

    Group-relative advantages (Shao et al., 2024, https://arxiv.org/abs/2402.03300). The paper does
    not say which deviation it means: here it is the unbiased one plus 1e-4, as in TRL; verl adds
    1e-6. Without the division the advantages are those of Dr. GRPO (Liu et al., 2025,
    https://arxiv.org/abs/2503.20783). As in `compute_rloo`, the penalty on the divergence is part
    of the return (the paper adds it to the loss), and the same rules hold for truncated episodes
    and for those that are alone in their group.

    Args:
        rewards: (batch, time) reward of each token.
        action_mask: (batch, time) True where the agent wrote the token.
        groups: (batch,) int64, equal for episodes of the same prompt.
        scale_by_std: Whether to divide by the standard deviation of the group.
        eps: Number added to that deviation, in units of the reward.

    Returns:
        (batch, time) advantages, zero where the mask is False.
    """
    advantages, size, sum_by_group = _within_groups(rewards, groups)
    if scale_by_std:
        variance = sum_by_group(advantages.square()) / (size - 1).clamp(min=1)
        advantages = advantages / (variance.sqrt() + eps)
    return torch.where(action_mask, advantages.to(rewards.dtype)[:, None], 0.0)


def compute_returns(rewards: Tensor, action_mask: Tensor, gamma: float) -> Tensor:
    """Sums the discounted rewards from each of the agent's tokens to the end of its episode.

    With the penalty on the KL divergence in the rewards, and whitened over the tokens of all
    episodes, they are the advantages of REINFORCE++ (Hu et al., 2025,
    https://arxiv.org/abs/2501.03262): the paper's for one response per prompt, where gamma is 1.
    verl computes the same. Discounts and rewards on the environment's tokens are as in
    `compute_gae`. A truncated episode counts with what it was paid until then.

    Args:
        rewards: (batch, time) reward of each token.
        action_mask: (batch, time) True where the agent wrote the token.
        gamma: Discount per token of the agent.

    Returns:
        (batch, time) returns, zero where the mask is False.
    """
    # The errors of a critic that always gives 0, summed without decay, are the rewards.
    return compute_gae(rewards, torch.zeros_like(rewards), action_mask, gamma, gae_lambda=1.0)[0]


def _within_groups(
    rewards: Tensor, groups: Tensor
) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
    """Returns each return less its group's mean, the size of its group, and a sum by group.

    They are in float64, so that a large reward that a whole group shares cancels exactly.
    """
    _, index = torch.unique(groups, return_inverse=True)

    def sum_by_group(x: Tensor) -> Tensor:
        return torch.zeros_like(x).scatter_add_(0, index, x)[index]

    totals = rewards.double().sum(dim=1)
    size = sum_by_group(torch.ones_like(totals))
    return totals - sum_by_group(totals) / size, size, sum_by_group


def whiten(
    x: Tensor,
    mask: Tensor,
    shift_mean: bool = True,
    eps: float = 1e-8,
    reduce: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> Tensor:
    """Subtracts the mean over a mask, and divides by the standard deviation.

    Like `normalize_advantage` of Stable-Baselines3: the deviation is the unbiased one, and fewer
    than two values are not changed. The mean is complete before deviations from it are squared,
    also over several processes.

    Args:
        x: (...) any values.
        mask: (...) True for the values that count.
        shift_mean: Whether to subtract the mean; otherwise signs are kept.
        eps: Number added to the standard deviation.
        reduce: Turns a tensor of this process's sums into those of all processes; always called
            twice.

    Returns:
        (...) like x, zero where the mask is False.
    """
    x = torch.where(mask, x, 0.0)
    total, n = reduce(torch.stack([x.sum(), mask.sum().to(x.dtype)]))
    mean = total / n.clamp(min=1)
    squares = reduce(torch.where(mask, (x - mean).square(), 0.0).sum())
    std = (squares / (n - 1).clamp(min=1)).sqrt()
    scaled = (x - mean if shift_mean else x) / (std + eps)
    return torch.where(mask & (n > 1), scaled, x)
