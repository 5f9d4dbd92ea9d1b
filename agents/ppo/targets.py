"""Makes the targets of an update: rewards less the KL penalty become advantages and returns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from agents.policy.episode_batch import EpisodeBatch
from agents.ppo.advantages import (
    ROUNDING,
    compute_gae,
    compute_grpo,
    compute_returns,
    compute_rloo,
    standardise_components,
    whiten,
)
from agents.ppo.distributed import ALONE, Ranks
from agents.ppo.evaluated_rollout import EvaluatedRollout
from agents.ppo.losses import aggregation_weights, truncated_importance_weights
from agents.ppo.options import GROUP_ADVANTAGES, PPOOptions


@dataclass(frozen=True)
class Targets:
    """Inputs of the losses, (batch, time) each, zero off the agent's tokens.

    Attributes:
        old_logprobs: Log-probabilities under the policy that the update starts from.
        values: Values of the state before each token, at the start of the update.
        advantages: Advantages, whitened over the agent's tokens of all episodes if asked for.
        returns: Targets of the values.
        importance_weights: Weights of each token's policy loss, arbitrary off the agent's tokens;
            None for 1.
        token_weights: What each token counts in the policy loss (`aggregation_weights`); None for
            1.
        states: As in `EvaluatedRollout`.
    """

    old_logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    importance_weights: Tensor | None = None
    token_weights: Tensor | None = None
    states: Tensor | None = None

    def take(self, rows: Tensor, width: int) -> Targets:
        """Returns some rows, cut to the first `width` tokens."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        cut: dict[str, Any] = {
            name: None if part is None else part[rows, :width] for name, part in parts.items()
        }
        return Targets(**cut)


def make_targets(
    evaluated: EvaluatedRollout,
    batch: EpisodeBatch,
    options: PPOOptions,
    *,
    kl_coef: float,
    reward_scale: float = 1.0,
    max_tokens: int = 1,
    ranks: Ranks = ALONE,
) -> tuple[Targets, dict[str, float]]:
    """Computes the advantages and returns of a rollout, paid by its rewards and the KL penalty.

    Args:
        evaluated: Rollout under the policy and the reference.
        batch: Episodes of the same rollout.
        options: Options, of which estimator, discount, whitening, aggregation and cap are used.
        kl_coef: Coefficient of the KL penalty, per nat.
        reward_scale: Number that the environment's rewards are divided by.
        max_tokens: Most tokens that the agent may write in an episode.
        ranks: Processes of the run, over whose rollouts advantages are whitened.

    Returns:
        The targets, and metrics to log.
    """
    written = batch.action_mask
    # In float64 until the end: advantages are often small differences of these.
    paid = batch.rewards.double() / reward_scale
    if options.component_weights:
        paid = _pay_components(batch, options, ranks)
    penalties = kl_coef * evaluated.log_ratio.double()
    values = evaluated.values
    rounding = _rounding(paid, evaluated, kl_coef, ranks)
    # Without a critic there is no value loss, so returns equal values here.
    returns = values
    if options.advantage == "gae":
        advantages, returns = compute_gae(
            paid - penalties,
            values.double(),
            written,
            gamma=options.gamma,
            gae_lambda=options.gae_lambda,
            # A truncated episode has no score; its last state's value stands in for it.
            last_values=(evaluated.final_values * batch.truncated).double(),
        )
        returns = torch.where(advantages.abs() <= rounding, values, returns.float())
    elif options.advantage == "rloo":
        advantages = compute_rloo(paid, written, batch.groups, penalties)
    elif options.advantage == "reinforce++":
        advantages = compute_returns(paid - penalties, written, options.gamma)
    else:
        # Components are standardised already.
        scale = options.advantage == "grpo" and not options.component_weights
        advantages = compute_grpo(paid, written, batch.groups, scale, penalties=penalties)
    metrics = _describe(advantages, returns, evaluated, options, written, ranks)
    if options.normalize_advantage and options.advantage not in GROUP_ADVANTAGES:
        if kl_coef == 0 and _all_equal(paid, written, batch, options.gamma, rounding, ranks):
            # No text earned more than another; what is left are the critic's errors.
            advantages = torch.zeros_like(advantages)
        else:
            advantages = whiten(advantages, written, rounding=rounding, reduce=ranks.sum)
    weights = None
    if batch.logprobs is not None:
        mismatch = logprob_mismatch(evaluated.logprobs, batch.logprobs, written)
        total, n = ranks.sum(mismatch.new_tensor([float(mismatch.sum()), len(mismatch)]))
        metrics["rollout/logprob_mismatch"] = float(total / n)
        metrics["rollout/logprob_mismatch_max"] = max(ranks.gather(float(mismatch.max())))
        if options.importance_cap is not None:
            weights = truncated_importance_weights(
                evaluated.logprobs, batch.logprobs, options.importance_cap
            )
    masked = batch.cut_off if options.mask_cut_off else None
    targets = Targets(
        evaluated.logprobs,
        values,
        advantages.float(),
        returns,
        weights,
        aggregation_weights(written, options.loss_aggregation, masked, max_tokens),
    )
    return targets, metrics


def _pay_components(batch: EpisodeBatch, options: PPOOptions, ranks: Ranks) -> Tensor:
    """Returns rewards that pay, at each episode's last token, its standardised components."""
    assert batch.components is not None, "make_batch was not asked for the components"
    weights = torch.tensor(list(options.component_weights.values()), dtype=torch.float64)
    components, groups = batch.components, batch.groups
    if options.advantage != "grpo":
        # Compared with every episode of the rollout, in whatever process it was played.
        parts = ranks.gather(components.cpu())
        first = sum(len(part) for part in parts[: ranks.index])
        everyones = torch.cat(parts)
        sums = standardise_components(everyones, weights, torch.zeros(len(everyones)))
        sums = sums[first : first + len(batch)].to(components.device)
    else:
        sums = standardise_components(components, weights, groups)
        # The paper whitens the sums over the batch, so that their size does not grow with k.
        everyone = torch.ones_like(sums, dtype=torch.bool)
        sums = whiten(sums, everyone, shift_mean=False, reduce=ranks.sum)
    paid = torch.zeros_like(batch.rewards, dtype=torch.float64)
    last = batch.action_mask.long().cumsum(1).argmax(1, keepdim=True)
    return paid.scatter_(1, last, sums[:, None])


def _rounding(paid: Tensor, evaluated: EvaluatedRollout, kl_coef: float, ranks: Ranks) -> float:
    """Returns the largest error of an advantage that float32 can explain.

    Rewards and values are rounded once each. A penalty is a difference of two log-probabilities, of
    which each is off by its rounding, but never by more than the penalty itself where they agree.
    """
    both = evaluated.logprobs.abs() + evaluated.ref_logprobs.abs()
    noise = torch.minimum(evaluated.log_ratio.abs(), ROUNDING * both).double()
    per_episode = ROUNDING * paid.abs().sum(dim=1) + kl_coef * noise.sum(dim=1)
    own = float(per_episode.max() + ROUNDING * evaluated.values.abs().max())
    everyones: list[float] = ranks.gather(own)
    return max(everyones)


def _all_equal(
    paid: Tensor,
    written: Tensor,
    batch: EpisodeBatch,
    gamma: float,
    rounding: float,
    ranks: Ranks,
) -> bool:
    """Returns whether all episodes of the rollout, two or more, were worth the same."""
    to_go = compute_returns(paid, written, gamma)
    worth = to_go.gather(1, written.int().argmax(1, keepdim=True))
    own = (float(worth.min()), float(worth.max()), len(batch), bool(batch.truncated.any()))
    lows, highs, sizes, truncated = zip(*ranks.gather(own), strict=True)
    return sum(sizes) > 1 and not any(truncated) and max(highs) - min(lows) <= rounding


def _describe(
    advantages: Tensor,
    returns: Tensor,
    evaluated: EvaluatedRollout,
    options: PPOOptions,
    written: Tensor,
    ranks: Ranks,
) -> dict[str, float]:
    """Returns means and deviations over the agent's tokens, of all processes."""
    metrics = {"train/entropy": float(evaluated.entropy[written].mean())}
    described = {"advantage": advantages}
    if options.advantage == "gae":
        described |= {"return": returns, "value": evaluated.values}
    for name, tensor in described.items():
        found = tensor[written].double()
        total, n = ranks.sum(torch.stack([found.sum(), found.new_tensor(len(found))]))
        mean = total / n
        squares = ranks.sum((found - mean).square().sum())
        metrics |= {
            f"train/{name}_mean": float(mean),
            f"train/{name}_std": float((squares / n).sqrt()),
        }
    log_ratios = evaluated.log_ratio[written].double()
    total, n = ranks.sum(torch.stack([log_ratios.sum(), log_ratios.new_tensor(len(log_ratios))]))
    metrics["rollout/kl_per_token"] = float(total / n)
    return metrics


def logprob_mismatch(logprobs: Tensor, sampler_logprobs: Tensor, action_mask: Tensor) -> Tensor:
    """Returns the difference of each token's log-probability from the one at sampling, in nats.

    Sampling reads cached keys token by token, learning reads whole sequences. In exact arithmetic
    they agree, in float32 to about 1e-6, in bfloat16 to some thousandths on average. Much larger
    differences mean a sampler with other weights or another distribution.

    Args:
        logprobs: (batch, time) log-probabilities under the policy, computed again.
        sampler_logprobs: (batch, time) log-probabilities at sampling.
        action_mask: (batch, time) True where the agent wrote the token.

    Returns:
        (n_tokens,) absolute differences, row by row.
    """
    return (logprobs - sampler_logprobs)[action_mask].abs()
