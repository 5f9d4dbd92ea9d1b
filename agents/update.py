"""The gradient of a minibatch of episodes: PPO's loss over all its tokens, pass by pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.buffer import EpisodeBatch
from agents.losses import policy_loss, value_loss
from agents.policy import LMPolicy
from agents.targets import Targets


@dataclass(frozen=True)
class LossSettings:
    """What PPO's loss is made of: arguments of `TextPPO`, schedules read at this moment.

    Attributes:
        clip_range: Of the probability ratio.
        clip_range_vf: Of the value's change; None for no clip.
        vf_coef: Of the mean squared error of the values.
        ent_coef: Of the entropy bonus.
        clip_range_high: Upper clip of the ratio; None for `clip_range`.
        dual_clip: Bound of the loss of negative advantages; None for no bound.
        critic_only: Let only the critic learn, and nothing but `critic_parameters` move.
    """

    clip_range: float
    clip_range_vf: float | None = None
    vf_coef: float = 0.1
    ent_coef: float = 0.0
    clip_range_high: float | None = None
    dual_clip: float | None = None
    critic_only: bool = False


def accumulate_gradients(
    policy: LMPolicy, batch: EpisodeBatch, targets: Targets, rows: Tensor, settings: LossSettings
) -> dict[str, float]:
    """Computes the loss of a minibatch and leaves its gradient in the parameters.

    Every token of the minibatch weighs the same, however it is split into micro-batches: each has
    one backward pass of the sum over its tokens, divided by the count of the whole minibatch.

    Args:
        policy: Learns; its gradients are replaced.
        batch: The rollout.
        targets: Of the same rollout.
        rows: (n,) which episodes make the minibatch.
        settings: The loss.

    Returns:
        Means over the minibatch's tokens.
    """
    policy.set_training_mode(True)
    policy.optimizer.zero_grad()
    n_tokens = batch.action_mask[rows].sum()
    totals: dict[str, Tensor] = {}
    for micro_rows in batch.micro_batches(rows, policy.max_tokens_per_batch):
        part = batch.take(micro_rows)
        sums = _token_sums(policy, part, targets.take(micro_rows, part), settings)
        (sums["loss"] / n_tokens).backward()  # type: ignore[no-untyped-call] # has no types
        for key, value in sums.items():
            totals[key] = totals.get(key, 0.0) + value.detach()
    # Brought over at the end, since each transfer waits for the device.
    means = (torch.stack(list(totals.values())) / n_tokens).tolist()
    return dict(zip(totals, means, strict=True))


def _token_sums(
    policy: LMPolicy, part: EpisodeBatch, wanted: Targets, settings: LossSettings
) -> dict[str, Tensor]:
    """Returns the loss of a micro-batch and what is logged of it, summed over its tokens."""
    # Of use only where it is paid for: a pass over all probabilities, forth and back.
    with_entropy = settings.ent_coef != 0
    outputs = policy.evaluate_sequences(part, with_entropy, settings.critic_only)
    policy_part, stats = policy_loss(
        outputs.logprobs,
        wanted.old_logprobs,
        wanted.advantages,
        clip_range=settings.clip_range,
        clip_range_high=settings.clip_range_high,
        dual_clip=settings.dual_clip,
    )
    value_part = value_loss(
        outputs.values, wanted.values, wanted.returns, clip_range_vf=settings.clip_range_vf
    )
    loss = policy_part.sum() + settings.vf_coef * value_part.sum()
    if outputs.entropy is not None:
        loss = loss - settings.ent_coef * outputs.entropy.sum()
    return {
        "loss": loss,
        "policy_gradient_loss": policy_part.sum(),
        "value_loss": value_part.sum(),
        "clip_fraction": stats.clipped,
        "approx_kl": stats.k3,
        "ratio": stats.ratio,
    }
