"""The distribution over the actions of observations, and their values, at either action level."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.distributions import CategoricalDistribution
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import Tensor

from agents.models.reply_logprobs import Choices, choice_logits, score_choices
from agents.policy.cached_passes import CachedPasses
from agents.policy.networks import Networks
from agents.policy.observations import check_observations

# (n, n_actions), True where an action is open.
Masks: TypeAlias = NDArray[np.bool_] | Tensor | None


def judge_observations(
    networks: Networks,
    obs: PyTorchObs,
    n_actions: int,
    action_masks: Masks = None,
    cached: CachedPasses | None = None,
    twice_differentiable: bool = False,
) -> tuple[CategoricalDistribution, Tensor]:
    """Returns the distribution over actions and the values (n, 1), with gradient.

    Args:
        networks: Networks of the policy.
        obs: Observations of any slots; with `cached`, of slots 0 to n - 1.
        n_actions: Number of actions: of candidates at select level.
        action_masks: (n, n_actions) True where an action is open; None if all are.
        cached: Passes that compute only new tokens, without gradient; of use for the next token
            alone.
        twice_differentiable: Whether the gradient has a gradient.
    """
    check_observations(obs, networks.vocab_size)
    assert isinstance(obs, dict)
    if "candidate_ids" in obs:
        logits, critic_hidden = _judge_candidates(networks, obs, n_actions, twice_differentiable)
    else:
        ids, lengths = read_texts(obs)
        if cached is not None:
            hidden, critic_hidden = cached.last_hidden(ids, lengths)
        else:
            hidden = critic_hidden = networks.last_hidden(networks.backbone, ids, lengths)
            if networks.critic is not None:
                critic_hidden = networks.last_hidden(networks.critic, ids, lengths)
        logits = networks.logits(hidden)
    if action_masks is not None:
        is_open = torch.as_tensor(action_masks, dtype=torch.bool, device=logits.device)
        # The lowest number, not minus infinity: the entropy stays a number.
        logits = logits.masked_fill(~is_open.view(logits.shape), torch.finfo(logits.dtype).min)
    distribution = CategoricalDistribution(logits.shape[1]).proba_distribution(logits)
    return distribution, networks.values(critic_hidden).unsqueeze(-1)


def _judge_candidates(
    networks: Networks, obs: dict[str, Tensor], n_candidates: int, twice_differentiable: bool
) -> tuple[Tensor, Tensor]:
    """Returns the candidates' logits, and the critic's state of the text before."""
    options, device = networks.options, networks.device
    shape = (len(obs["candidate_ids"]), n_candidates, -1)
    text_ids, text_lengths = read_texts(obs)
    choices = Choices(
        text_ids.to(device).long(),
        text_lengths.to(device),
        obs["candidate_ids"].to(device).long().view(shape),
        obs["candidate_mask"].to(device).view(shape).sum(dim=2).long(),
    )
    with networks.autocast():
        logprobs, hidden = score_choices(
            networks.backbone,
            networks.head,
            choices,
            vocab_size=networks.vocab_size,
            window=networks.window,
            max_tokens_per_batch=options.max_tokens_per_batch,
            side_by_side=networks.ways.side_by_side,
            twice_differentiable=twice_differentiable,
        )
    logits = choice_logits(
        logprobs,
        choices.reply_lengths,
        temperature=options.temperature,
        length_normalized=options.length_normalized,
    )
    if networks.critic is not None:
        hidden = networks.last_hidden(networks.critic, text_ids, text_lengths)
    return logits, hidden


def read_texts(obs: PyTorchObs) -> tuple[Tensor, Tensor]:
    """Returns token ids (n, L) and true lengths (n,) of observations."""
    assert isinstance(obs, dict)
    return obs["input_ids"], obs["attention_mask"].sum(dim=1).long()
