"""Evaluates whole episodes: one teacher-forced pass gives the numbers of every token."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agents.models.loading import teacher_forced_hidden
from agents.models.reply_logprobs import side_by_side_states
from agents.models.token_logprobs import token_logprobs
from agents.policy.episode_batch import EpisodeBatch
from agents.policy.micro_batches import split_by_opening
from agents.policy.networks import Networks
from agents.policy.openings import SideBySide


@dataclass(frozen=True)
class TokenOutputs:
    """Results of a teacher-forced pass for the agent's tokens, flat in (row, time) order."""

    logprobs: Tensor  # (n_tokens,) log-probability of each token that was written
    values: Tensor  # (n_tokens,) value of the state before each token
    states: Tensor  # (n_tokens, hidden) what these values are computed from
    entropy: Tensor | None  # (n_tokens,) entropy of the distribution at each token, if asked for
    final_values: Tensor  # (batch,) value of the state after each row's last token


def split_into_passes(networks: Networks, batch: EpisodeBatch, rows: Tensor) -> list[Tensor]:
    """Splits the episodes `rows` (n,) into passes of at most `max_tokens_per_batch` tokens."""
    max_tokens = networks.options.max_tokens_per_batch
    if networks.shares_openings:
        return list(split_by_opening(batch, rows, max_tokens))
    return list(batch.micro_batches(rows, max_tokens))


@dataclass(frozen=True)
class States:
    """Final hidden states of a decoder."""

    before: Tensor  # (n_tokens, hidden) before each token that the agent wrote, (row, time) order
    last: Tensor  # (batch, hidden) after each row's last token


def compute_states(networks: Networks, backbone: nn.Module, batch: EpisodeBatch) -> States:
    """Passes over episodes; those with equal openings share them, where that is right."""
    rows, times = batch.written
    shared = _shared(networks, batch)
    if shared is None:
        hidden = teacher_forced_hidden(backbone, batch.input_ids)
        every = torch.arange(len(batch), device=rows.device)
        # The state before a token is the hidden state of the token before it.
        return States(hidden[rows, times - 1], hidden[every, batch.lengths - 1])
    window = batch.input_ids.shape[1]
    after_opening, after = side_by_side_states(backbone, shared.choices, window)
    n_replies = after.shape[1]
    states = torch.cat([after_opening[:, None, None].expand(-1, n_replies, 1, -1), after], dim=2)
    text, reply = shared.text, shared.reply
    return States(
        states[text[rows], reply[rows], times - batch.opening_lengths[rows]],
        states[text, reply, batch.lengths - batch.opening_lengths],
    )


def tokens_of_pass(networks: Networks, batch: EpisodeBatch) -> Tensor:
    """Returns the token ids that `compute_states` passes over."""
    shared = _shared(networks, batch)
    return batch.input_ids if shared is None else shared.choices.input_ids


def _shared(networks: Networks, batch: EpisodeBatch) -> SideBySide | None:
    return batch.side_by_side if networks.shares_openings else None


def evaluate_tokens(
    networks: Networks, batch: EpisodeBatch, with_entropy: bool = False
) -> TokenOutputs:
    """Evaluates every token that the agent wrote, as `LMPolicy.evaluate_sequences` does."""
    with networks.autocast():
        states = compute_states(networks, networks.backbone, batch)
        logprobs, entropy = written_logprobs(
            networks, networks.head, states.before, batch, with_entropy
        )
        if networks.critic is not None:
            states = compute_states(networks, networks.critic, batch)
    values, final_values = networks.values(states.before), networks.values(states.last)
    return TokenOutputs(logprobs, values, states.before, entropy, final_values)


def written_logprobs(
    networks: Networks,
    head: nn.Module,
    before: Tensor,
    batch: EpisodeBatch,
    with_entropy: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Returns log-probabilities, and entropies if asked for, of the agent's tokens.

    Args:
        networks: Networks of the policy, whose vocabulary and temperature are used.
        head: Output layer, of the policy or of another model.
        before: (n_tokens, hidden) states of that model before each of them.
        batch: Episodes.
        with_entropy: Whether to compute entropies.

    Returns:
        (n_tokens,) each, in (row, time) order.
    """
    return token_logprobs(
        head,
        before,
        batch.input_ids[batch.written],
        vocab_size=networks.vocab_size,
        temperature=networks.options.temperature,
        with_entropy=with_entropy,
    )


def evaluate_values(
    networks: Networks, batch: EpisodeBatch, states: Tensor | None = None
) -> Tensor:
    """Evaluates the state before every token, as `LMPolicy.evaluate_values` does."""
    if networks.critic is not None:
        with networks.autocast():
            states = compute_states(networks, networks.critic, batch).before
    elif states is None:
        with networks.autocast(), torch.no_grad():
            states = compute_states(networks, networks.backbone, batch).before
    return networks.values(states)
