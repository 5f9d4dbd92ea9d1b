"""The gradient of a minibatch of episodes: PPO's loss over all its tokens, pass by pass."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from agents.ppo.buffer import EpisodeBatch
from agents.ppo.distributed import ALONE, Ranks
from agents.ppo.losses import policy_loss, value_loss
from agents.ppo.options import PPOOptions
from agents.ppo.policy import LMPolicy
from agents.ppo.sharding import in_step
from agents.ppo.targets import Targets

# What is logged of a minibatch.
_LOGGED = (
    *("loss", "policy_gradient_loss", "value_loss"),
    *("clip_fraction", "approx_kl", "ratio"),
)


def accumulate_gradients(
    policy: LMPolicy,
    batch: EpisodeBatch,
    targets: Targets,
    rows: Tensor,
    options: PPOOptions,
    *,
    critic_only: bool = False,
    ranks: Ranks = ALONE,
) -> dict[str, float]:
    """Computes the loss of a minibatch and leaves its gradient in the parameters.

    Every token of the minibatch weighs the same, however it is split into micro-batches: each has
    one backward pass of the sum over its tokens, divided by the count of the whole minibatch. Of a
    run of several processes each has some of its episodes, or none, and all get the same gradient.

    Args:
        policy: Learns; its gradients are replaced.
        batch: The rollout.
        targets: Of the same rollout.
        rows: (n,) which episodes make this process's part of the minibatch.
        options: As they are now (`PPOOptions.at`).
        critic_only: Let only the critic learn: nothing but `critic_parameters` moves.
        ranks: The processes of the run.

    Returns:
        Means over the minibatch's tokens.
    """
    policy.set_training_mode(True)
    policy.optimizer.zero_grad()
    n_tokens = ranks.sum(batch.action_mask[rows].sum())
    totals = torch.zeros(len(_LOGGED), device=rows.device)
    passes = list(batch.micro_batches(rows, policy.options.max_tokens_per_batch))
    everyones = list(in_step(passes, policy))
    for i, (micro_rows, counts) in enumerate(everyones):
        part = batch.take(micro_rows)
        sums = _token_sums(
            policy, part, targets.take(micro_rows, part.input_ids.shape[1]), options, critic_only
        )
        loss = counts * sums["loss"] / n_tokens
        if isinstance(policy, FSDPModule):
            # It sums gradients in the backward pass, and divides by the number of processes.
            policy.set_requires_gradient_sync(i == len(everyones) - 1)
            loss = loss * ranks.size
        loss.backward()  # type: ignore[no-untyped-call] # has no types
        totals += counts * torch.stack([sums[name].detach() for name in _LOGGED])
    if not isinstance(policy, FSDPModule):
        ranks.sum_gradients(policy.parameters())
    # Brought over at the end, since each transfer waits for the device.
    means = (ranks.sum(totals) / n_tokens).tolist()
    return dict(zip(_LOGGED, means, strict=True))


def _token_sums(
    policy: LMPolicy, part: EpisodeBatch, wanted: Targets, options: PPOOptions, critic_only: bool
) -> dict[str, Tensor]:
    """Returns the loss of a micro-batch and what is logged of it, summed over its tokens."""
    # Of use only where it is paid for: a pass over all probabilities, forth and back.
    with_entropy = options.ent_coef != 0
    outputs = policy.evaluate_sequences(part, with_entropy, critic_only)
    at = part.written  # what the policy says of tokens is flat, in this order
    weights = wanted.importance_weights
    policy_part, stats = policy_loss(
        outputs.logprobs,
        wanted.old_logprobs[at],
        wanted.advantages[at],
        options,
        None if weights is None else weights[at],
    )
    value_part = value_loss(outputs.values, wanted.values[at], wanted.returns[at], options)
    # Without a critic no value learns.
    vf_coef = options.vf_coef if options.advantage == "gae" else 0.0
    loss = policy_part.sum() + vf_coef * value_part.sum()
    if outputs.entropy is not None:
        loss = loss - options.ent_coef * outputs.entropy.sum()
    return {
        "loss": loss,
        "policy_gradient_loss": policy_part.sum(),
        "value_loss": value_part.sum(),
        "clip_fraction": stats.clipped,
        "approx_kl": stats.k3,
        "ratio": stats.ratio,
    }
