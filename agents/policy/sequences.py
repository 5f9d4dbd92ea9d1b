"""Evaluates whole episodes: one teacher-forced pass gives the numbers of every token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.models.loading import teacher_forced_hidden
from agents.models.token_logprobs import token_logprobs
from agents.policy.episode_batch import EpisodeBatch
from agents.policy.networks import Networks


@dataclass(frozen=True)
class TokenOutputs:
    """Results of a teacher-forced pass for the agent's tokens, flat in (row, time) order."""

    logprobs: Tensor  # (n_tokens,) log-probability of each token that was written
    values: Tensor  # (n_tokens,) value of the state before each token
    states: Tensor  # (n_tokens, hidden) what these values are computed from
    entropy: Tensor | None  # (n_tokens,) entropy of the distribution at each token, if asked for
    final_values: Tensor  # (batch,) value of the state after each row's last token


def evaluate_tokens(
    networks: Networks, batch: EpisodeBatch, with_entropy: bool = False
) -> TokenOutputs:
    """Evaluates every token that the agent wrote, as `LMPolicy.evaluate_sequences` does."""
    rows, times = batch.written
    last = torch.arange(len(batch), device=rows.device), batch.lengths - 1
    with networks.autocast():
        hidden = teacher_forced_hidden(networks.backbone, batch.input_ids)
        logprobs, entropy = written_logprobs(networks, networks.head, hidden, batch, with_entropy)
        critic_hidden = hidden
        if networks.critic is not None:
            critic_hidden = teacher_forced_hidden(networks.critic, batch.input_ids)
    states = critic_hidden[rows, times - 1]
    final_values = networks.values(critic_hidden[last])
    return TokenOutputs(logprobs, networks.values(states), states, entropy, final_values)


def written_logprobs(
    networks: Networks,
    head: nn.Module,
    hidden: Tensor,
    batch: EpisodeBatch,
    with_entropy: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Returns log-probabilities, and entropies if asked for, of the agent's tokens.

    Args:
        networks: Networks of the policy, whose vocabulary and temperature are used.
        head: Output layer, of the policy or of another model.
        hidden: (batch, time, hidden) states of that model after each token.
        batch: Episodes.
        with_entropy: Whether to compute entropies.

    Returns:
        (n_tokens,) each, in (row, time) order.
    """
    rows, times = batch.written
    return token_logprobs(
        head,
        # The state before a token is the hidden state of the token before it.
        hidden[rows, times - 1],
        batch.input_ids[batch.written],
        vocab_size=networks.vocab_size,
        temperature=networks.options.temperature,
        with_entropy=with_entropy,
    )


def evaluate_values(
    networks: Networks, batch: EpisodeBatch, states: Tensor | None = None
) -> Tensor:
    """Evaluates the state before every token, as `LMPolicy.evaluate_values` does."""
    rows, times = batch.written
    if networks.critic is not None:
        with networks.autocast():
            states = teacher_forced_hidden(networks.critic, batch.input_ids)[rows, times - 1]
    elif states is None:
        with networks.autocast(), torch.no_grad():
            states = teacher_forced_hidden(networks.backbone, batch.input_ids)[rows, times - 1]
    return networks.values(states)
