"""A rollout under the policy that an update starts from, and under the reference."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from agents.policy.episode_batch import EpisodeBatch
from agents.policy.lm_policy import LMPolicy
from agents.policy.sequences import split_into_passes
from agents.ppo.distributed import Ranks
from agents.ppo.kl import kl_penalty
from agents.ppo.reference import Reference
from agents.ppo.sharding import in_step


@dataclass(frozen=True)
class EvaluatedRollout:
    """A rollout under the policy that an update starts from, and under the reference.

    Attributes:
        logprobs: (batch, time) log-probabilities under the policy, zero off the agent's tokens.
        ref_logprobs: (batch, time) log-probabilities under the reference, zero off the agent's
            tokens.
        values: (batch, time) values of the state before each of the agent's tokens, zero elsewhere.
        final_values: (batch,) values of the state after the last token.
        entropy: (batch, time) entropy of the policy in nats, zero off the agent's tokens.
        states: (batch, most tokens written, hidden) what the value of each of a row's tokens was
            computed from, in their order; None unless asked for.
    """

    logprobs: Tensor
    ref_logprobs: Tensor
    values: Tensor
    final_values: Tensor
    entropy: Tensor
    states: Tensor | None = None

    @cached_property
    def log_ratio(self) -> Tensor:
        """Divergence from the reference at each of the agent's tokens, (batch, time) nats."""
        return kl_penalty(self.logprobs, self.ref_logprobs)

    def faults(self, written: Tensor) -> str:
        """Says which numbers at the agent's tokens (batch, time) are not finite; "" if all are."""
        parts = {
            "the policy's log-probabilities": self.logprobs,
            "the reference's log-probabilities": self.ref_logprobs,
            "the critic's values": self.values,
        }
        found = []
        for name, tensor in parts.items():
            bad = ~tensor.isfinite() & written
            if bad.any():
                row, time = (int(i) for i in bad.nonzero()[0])
                found.append(
                    f"{name} of {int(bad.sum())} of {int(written.sum())} tokens, first "
                    f"{float(tensor[row, time])} at token {time} of episode {row}"
                )
        return f"not finite: {'; '.join(found)}" if found else ""

    def mean_kl(self, ranks: Ranks) -> tuple[float, int]:
        """Returns the KL of policy to reference in nats per episode, and the number of episodes."""
        sums = [float(self.log_ratio.sum()), len(self.log_ratio)]
        total, n = ranks.sum(self.log_ratio.new_tensor(sums)).tolist()
        return total / n, round(n)


def evaluate_rollout(
    policy: LMPolicy, reference: Reference, batch: EpisodeBatch, keep_states: bool = False
) -> EvaluatedRollout:
    """Computes log-probabilities and values of the agent's tokens, without gradient.

    Those of the policy are computed again rather than kept from sampling, so that the update's
    first ratio is 1 in every precision. `logprob_mismatch` measures how far the two differ. While
    the policy still is the reference, one pass gives both.

    Args:
        policy: Policy that the update starts from.
        reference: Reference of the KL penalty.
        batch: Rollout.
        keep_states: Whether to keep what the values are computed from, for an update in which the
            language model does not change.
    """
    shape, device = batch.action_mask.shape, batch.input_ids.device
    logprobs, ref_logprobs, values, entropy = (torch.zeros(shape, device=device) for _ in range(4))
    final_values = torch.zeros(len(batch), device=device)
    everything = torch.arange(len(batch), device=device)
    states: Tensor | None = None
    is_reference = reference.is_policy()
    with torch.no_grad():
        passes = split_into_passes(policy.networks, batch, everything)
        for rows, _ in in_step(passes, policy):
            part = batch.take(rows)
            with nullcontext() if is_reference else reference.recording():
                outputs = policy.evaluate_sequences(part, with_entropy=True)
            row, time = part.written
            at = rows[row], time
            logprobs[at] = outputs.logprobs
            values[at] = outputs.values
            assert outputs.entropy is not None
            entropy[at] = outputs.entropy
            ref_logprobs[at] = outputs.logprobs if is_reference else reference.logprobs(part)
            final_values[rows] = outputs.final_values
            if keep_states:
                if states is None:
                    most = int(batch.action_mask.sum(dim=1).max())
                    states = outputs.states.new_zeros(len(batch), most, outputs.states.shape[1])
                states[rows[row], part.ranks[part.written]] = outputs.states
    return EvaluatedRollout(logprobs, ref_logprobs, values, final_values, entropy, states)
