"""Advantages of the agent's tokens: with a critic (GAE), or from returns alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# A number rounded to float32 is off by at most half of this share of it. Differences between
# advantages that rounding of what they were computed from can explain are no differences: whitened
# they would be as large as real ones, and Adam makes steps of any gradient.
ROUNDING = 2 * torch.finfo(torch.float32).eps


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
def compute_rloo(
    rewards: Tensor, action_mask: Tensor, groups: Tensor, penalties: Tensor | None = None
) -> Tensor:
    """Subtracts from each episode's return the mean return of the others in its group.

    Leave-one-out REINFORCE (Ahmadian et al., 2024, https://arxiv.org/abs/2402.14740), not
    normalised afterwards, as in the paper and in verl. The return is the sum of all rewards of the
    episode less its penalties; all tokens of the agent share it. Groups may differ in size; an
    episode alone in its group has advantage 0. A truncated episode counts with what it was paid
    until then, without a value for the rest.

    Args:
        rewards: (batch, time) reward of each token.
        action_mask: (batch, time) True where the agent wrote the token.
        groups: (batch,) int64, equal for episodes of the same prompt.
        penalties: (batch, time) penalty on the divergence at each token; None for 0.

    Returns:
        (batch, time) advantages, zero where the mask is False.
    """
    group = _Groups(groups)
    # R - (sum - R) / (n - 1) = (R - mean) n / (n - 1)
    advantages = group.centred(rewards)
    if penalties is not None:
        advantages = advantages - group.centred(penalties)
    advantages = advantages * group.size / (group.size - 1).clamp(min=1)
    return torch.where(action_mask, advantages.to(rewards.dtype)[:, None], 0.0)


@torch.no_grad()
def compute_grpo(
    rewards: Tensor,
    action_mask: Tensor,
    groups: Tensor,
    scale_by_std: bool = True,
    eps: float = 1e-4,
    penalties: Tensor | None = None,
) -> Tensor:
    """Standardises each episode's return within its group, and takes the penalties off after it.

    Group-relative advantages (Shao et al., 2024, https://arxiv.org/abs/2402.03300). The paper does
    not say which deviation it means: here it is the unbiased one plus 1e-4, as in TRL; verl adds
    1e-6. Without the division the advantages are those of Dr. GRPO (Liu et al., 2025,
    https://arxiv.org/abs/2503.20783).

    Only what the task pays is divided by the deviation. The penalties of an episode, less their
    mean in the group, are taken off as they are: where all rewards of a group are equal, a penalty
    that was divided too would be noise of size 1, whatever its coefficient. (The paper adds the
    penalty to the loss, which is not divided either.) The same rules as in `compute_rloo` hold for
    truncated episodes and for those that are alone in their group.

    Args:
        rewards: (batch, time) reward of each token.
        action_mask: (batch, time) True where the agent wrote the token.
        groups: (batch,) int64, equal for episodes of the same prompt.
        scale_by_std: Whether to divide by the standard deviation of the group.
        eps: Number added to that deviation, in units of the reward.
        penalties: (batch, time) penalty on the divergence at each token; None for 0.

    Returns:
        (batch, time) advantages, zero where the mask is False.
    """
    group = _Groups(groups)
    advantages = group.centred(rewards)
    if scale_by_std:
        advantages = advantages / (group.std(advantages) + eps)
    if penalties is not None:
        advantages = advantages - group.centred(penalties)
    return torch.where(action_mask, advantages.to(rewards.dtype)[:, None], 0.0)


@torch.no_grad()
def standardise_components(
    components: Tensor, weights: Tensor, groups: Tensor, eps: float = 1e-4
) -> Tensor:
    """Standardises each component of the reward for itself within its group, then sums them.

    Group reward-decoupled normalisation (GDPO, Liu et al., 2026, https://arxiv.org/abs/2601.05242).
    Standardised after the sum, episodes with different components get equal advantages wherever
    their sums agree, and the component with the widest spread rules.

    Args:
        components: (batch, k) components of each episode's reward; NaN where one has none, which
            counts as its mean.
        weights: (k,) weight of each.
        groups: (batch,) int64, equal for episodes that are compared.
        eps: Number added to each deviation, in units of the component.

    Returns:
        (batch,) weighted sums, float64.
    """
    total = components.new_zeros(len(components), dtype=torch.float64)
    for values, weight in zip(components.double().unbind(1), weights.tolist(), strict=True):
        known = values.isfinite()
        # Those without a value are groups of their own, each alone.
        alone = -1 - torch.arange(len(groups), device=groups.device)
        group = _Groups(torch.where(known, groups, alone))
        centred = group.centred(torch.where(known, values, 0.0)[:, None])
        total += weight * centred / (group.std(centred) + eps)
    return total


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


class _Groups:
    """Sums within groups of episodes, in float64.

    So a large reward that a whole group shares cancels exactly.

    Args:
        groups: (batch,) int64, equal for episodes of one group.
    """

    def __init__(self, groups: Tensor) -> None:
        _, self._index = torch.unique(groups, return_inverse=True)
        self.size = self._sum(torch.ones(len(groups), dtype=torch.float64, device=groups.device))

    def centred(self, rewards: Tensor) -> Tensor:
        """Returns each row's sum less the group's mean of them, (batch,).

        They are 0 where the group's sums differ by no more than rounding.
        """
        totals = rewards.double().sum(dim=1)
        centred = totals - self._sum(totals) / self.size
        most = self._most(rewards.double().abs().sum(dim=1))
        return torch.where(self._most(centred.abs()) <= ROUNDING * most, 0.0, centred)

    def std(self, centred: Tensor) -> Tensor:
        """Returns the unbiased standard deviation of each row's group, (batch,)."""
        return (self._sum(centred.square()) / (self.size - 1).clamp(min=1)).sqrt()

    def _sum(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x).scatter_add_(0, self._index, x)[self._index]

    def _most(self, x: Tensor) -> Tensor:
        most = torch.zeros_like(x).scatter_reduce_(0, self._index, x, "amax")
        return most[self._index]


def equal_groups(rewards: Tensor, groups: Tensor) -> Tensor:
    """Returns which episodes' groups have equal returns, up to rounding: (batch,) bool.

    Args:
        rewards: (batch, time) reward of each token.
        groups: (batch,) int64, equal for episodes of the same prompt.
    """
    group = _Groups(groups)
    return group.std(group.centred(rewards)) == 0


def whiten(
    x: Tensor,
    mask: Tensor,
    shift_mean: bool = True,
    rounding: float | None = None,
    reduce: Callable[[Tensor], Tensor] = lambda sums: sums,
) -> Tensor:
    """Subtracts the mean over a mask, and divides by the standard deviation.

    Like `normalize_advantage` of Stable-Baselines3: the deviation is the unbiased one, and fewer
    than two values are not changed. Stable-Baselines3 adds 1e-8 to the deviation. Here a deviation
    that rounding can explain is taken for 0, and the result is 0; any other is divided by as it is,
    so that the result does not depend on the unit of the values. The mean is complete before
    deviations from it are squared, also over several processes.

    Args:
        x: (...) any values.
        mask: (...) True for the values that count.
        shift_mean: Whether to subtract the mean; otherwise signs are kept.
        rounding: Largest deviation that rounding can explain; by default `ROUNDING` times the
            mean's size. If the values are differences of larger numbers, it is that of those.
        reduce: Turns a tensor of this process's sums into those of all processes; always called
            twice.

    Returns:
        (...) like x, zero where the mask is False.
    """
    values = torch.where(mask, x, 0.0).double()
    total, n = reduce(torch.stack([values.sum(), mask.sum().double()]))
    mean = total / n.clamp(min=1)
    squares = reduce(torch.where(mask, (values - mean).square(), 0.0).sum())
    std = (squares / (n - 1).clamp(min=1)).sqrt()
    floor = ROUNDING * mean.abs() if rounding is None else rounding
    scaled = (values - mean if shift_mean else values) / std
    scaled = torch.where(std <= floor, 0.0, scaled)
    return torch.where(mask, torch.where(n > 1, scaled, values), 0.0).to(x.dtype)
