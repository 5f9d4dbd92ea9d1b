"""Computes the gradient of PPO's loss over all tokens of a minibatch, in micro-batches."""

from __future__ import annotations

import logging
import traceback
from functools import partial

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from agents.policy.episode_batch import EpisodeBatch
from agents.policy.lm_policy import LMPolicy
from agents.policy.sequences import split_into_passes
from agents.ppo.distributed import ALONE, Ranks
from agents.ppo.losses import aggregation_size, policy_loss, value_loss
from agents.ppo.options import PPOOptions
from agents.ppo.sharding import in_step, whole
from agents.ppo.targets import Targets
from textenv.resource_faults import is_out_of_memory

_log = logging.getLogger(__name__)

# Metrics of a minibatch to log, which are means over its tokens.
_LOGGED = (
    *("loss", "policy_gradient_loss", "value_loss", "approx_kl", "ratio"),
    *("clip_fraction", "clip_fraction_high", "clip_fraction_low"),
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

    Every token of the minibatch weighs the same, or what `loss_aggregation` says, however the
    minibatch is split into micro-batches. Each has one backward pass of the sum over its tokens,
    divided by the count of the whole minibatch. In a run of several processes each has some of the
    episodes, or none, and all get the same gradient.

    Where memory is not enough, micro-batches are halved, once in a run, and the gradient is
    computed again.

    Args:
        policy: Policy that learns; its gradients are replaced.
        batch: Episodes of the rollout.
        targets: Targets of the same rollout.
        rows: (n,) numbers of the episodes in this process's part of the minibatch.
        options: Options of this moment (`PPOOptions.at`).
        critic_only: Whether only `critic_parameters` learn.
        ranks: Processes of the run.

    Returns:
        Means over the minibatch's tokens; and the largest ratio, "ratio_max", in this process.
    """
    policy.set_training_mode(True)
    policy.optimizer.zero_grad()
    n_tokens = ranks.sum(batch.action_mask[rows].sum())
    weigh = 1.0
    if targets.token_weights is not None:
        size = ranks.sum(aggregation_size(targets.token_weights[rows], options.loss_aggregation))
        # Below, everything is divided by the number of tokens.
        weigh = float(n_tokens / size) if size > 0 else 0.0
    accumulate = partial(
        _accumulate, policy, batch, targets, rows, options,
        critic_only=critic_only, n_tokens=n_tokens, weigh=weigh, ranks=ranks,
    )  # fmt: skip
    try:
        totals, ratio_max = accumulate()
    except Exception as error:
        if not _halves_passes(policy, error):
            raise
        policy.optimizer.zero_grad()
        totals, ratio_max = accumulate()
    if not isinstance(policy, FSDPModule):
        ranks.sum_gradients(policy.parameters())
    # Brought over at the end, since each transfer waits for the device.
    means = (ranks.sum(totals) / n_tokens).tolist()
    return {**dict(zip(_LOGGED, means, strict=True)), "ratio_max": float(ratio_max)}


def _halves_passes(policy: LMPolicy, error: Exception) -> bool:
    """Halves the passes of a policy for which memory was not enough, once; says so.

    Returns:
        Whether to try again. Processes whose weights are divided compute in step, so that one
        cannot.
    """
    if not is_out_of_memory(error) or isinstance(policy, FSDPModule):
        return False
    options = policy.options
    half = options.max_tokens_per_batch // 2
    if policy.networks.has_halved_passes or half < 1:
        return False
    policy.networks.has_halved_passes = True
    # The error's frames hold the tensors of the pass.
    traceback.clear_frames(error.__traceback__)
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
    policy.options = options.replace(max_tokens_per_batch=half)
    _log.warning(
        f"Memory was not enough for an update in passes of {options.max_tokens_per_batch} tokens, "
        f"so from here on they have {half} (max_tokens_per_batch). The gradient is the same; if "
        "memory is not enough again, the run ends."
    )
    return True


def _accumulate(
    policy: LMPolicy,
    batch: EpisodeBatch,
    targets: Targets,
    rows: Tensor,
    options: PPOOptions,
    *,
    critic_only: bool,
    n_tokens: Tensor,
    weigh: float,
    ranks: Ranks,
) -> tuple[Tensor, Tensor]:
    """Adds the gradients of all micro-batches of a minibatch.

    Returns:
        Sums of `_LOGGED` over this process's tokens, and the largest ratio.
    """
    ratio_max = torch.zeros((), device=rows.device)
    totals = torch.zeros(len(_LOGGED), device=rows.device)
    passes = split_into_passes(policy.networks, batch, rows)
    everyones = list(in_step(passes, policy))
    for i, (micro_rows, counts) in enumerate(everyones):
        part = batch.take(micro_rows)
        wanted = targets.take(micro_rows, part.input_ids.shape[1])
        sums = _token_sums(policy, part, wanted, options, critic_only, weigh)
        loss = counts * sums["loss"] / n_tokens
        if isinstance(policy, FSDPModule):
            # FSDP sums gradients in the backward pass, and divides by the number of processes.
            policy.set_requires_gradient_sync(i == len(everyones) - 1)
            loss = loss * ranks.size
        loss.backward()  # type: ignore[no-untyped-call] # has no types
        totals += counts * torch.stack([sums[name].detach() for name in _LOGGED])
        ratio_max = torch.maximum(ratio_max, counts * sums["ratio_max"])
    return totals, ratio_max


def start_values(
    policy: LMPolicy, batch: EpisodeBatch, reward_scale: float, ranks: Ranks = ALONE
) -> None:
    """Sets an untrained value head to the mean return, so that it only learns differences.

    Args:
        policy: Policy, whose value head is changed if it is 0.
        batch: First rollout.
        reward_scale: Number that the environment's rewards are divided by.
        ranks: Processes of the run.
    """
    head = policy.value_head
    total = batch.rewards.double().sum()
    mean = torch.divide(*ranks.sum(torch.stack([total, total.new_tensor(len(batch))])))
    if not whole(head.weight).any() and not whole(head.bias).any():
        with torch.no_grad():
            head.bias.fill_(float(mean) / reward_scale)


def _token_sums(
    policy: LMPolicy,
    part: EpisodeBatch,
    wanted: Targets,
    options: PPOOptions,
    critic_only: bool,
    weigh: float,
) -> dict[str, Tensor]:
    """Returns the loss and the metrics of a micro-batch, summed over its tokens.

    The policy's part is multiplied by the tokens' weights, if they have any, and by `weigh`.
    """
    # Entropy takes a forward and a backward pass over all probabilities, so only with a bonus.
    with_entropy = options.ent_coef != 0
    at = part.written  # the policy's outputs are flat, in this order
    entropy = None
    if critic_only:
        # The language model is still what it was when the update started.
        logprobs, states = wanted.old_logprobs[at], wanted.states
        kept = None if states is None else states[at[0], part.ranks[at]]
        values = policy.evaluate_values(part, kept)
    else:
        outputs = policy.evaluate_sequences(part, with_entropy)
        logprobs, values, entropy = outputs.logprobs, outputs.values, outputs.entropy
    weights = wanted.importance_weights
    policy_part, stats = policy_loss(
        logprobs,
        wanted.old_logprobs[at],
        wanted.advantages[at],
        options,
        None if weights is None else weights[at],
    )
    if wanted.token_weights is not None:
        counts = weigh * wanted.token_weights[at]
        policy_part = counts * policy_part
        entropy = None if entropy is None else counts * entropy
    value_part = value_loss(values, wanted.values[at], wanted.returns[at], options)
    # Without a critic no value learns.
    vf_coef = options.vf_coef if options.advantage == "gae" else 0.0
    loss = policy_part.sum() + vf_coef * value_part.sum()
    if entropy is not None:
        loss = loss - options.ent_coef * entropy.sum()
    return {
        "loss": loss,
        "policy_gradient_loss": policy_part.sum(),
        "value_loss": value_part.sum(),
        "clip_fraction": stats.clipped_high + stats.clipped_low,
        "clip_fraction_high": stats.clipped_high,
        "clip_fraction_low": stats.clipped_low,
        "approx_kl": stats.k3,
        "ratio": stats.ratio,
        "ratio_max": stats.ratio_max,
    }
