"""The contestant without a framework: the same update as a bare loop, for what can be reached.

It knows that every prompt and every response is of one length, has no environment, no masks, no log
and no limit of the gradient's norm, and computes no entropy.

    python -m benchmarks.peers.torch_ppo WORK.json OUTCOME.json
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, DynamicCache

from benchmarks.peers.work import Outcome, Stopwatch, Work, read_prompts, run_as_program


@dataclass(frozen=True)
class _Rollout:
    """Episodes (n, prompt + response) with what the update needs of each of their tokens."""

    ids: Tensor
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


class BareLoop:
    """PPO on prompts and responses of fixed lengths, as few lines as it takes."""

    def __init__(self, work: Work) -> None:
        self.work = work
        torch.manual_seed(work.seed)
        self.policy = _load(work.folder)
        self.reference = _load(work.folder).requires_grad_(False)
        self.critic = _load(work.folder).model if work.separate_critic else None
        self.value_head = nn.Linear(work.hidden_size, 1)
        learning = [self.policy, self.value_head]
        if self.critic is not None:
            learning.append(self.critic)
        self.optimizer = torch.optim.AdamW(
            nn.ModuleList(learning).parameters(), lr=work.learning_rate, weight_decay=0.0
        )
        prompts = torch.tensor(read_prompts(work))
        n = work.n_episodes
        self._prompts = [prompts[i : i + n] for i in range(0, len(prompts) - n + 1, n)]

    def update(self, number: int, watch: Stopwatch) -> None:
        """Plays one batch of prompts and learns from it."""
        prompts = self._prompts[number % len(self._prompts)]
        # Without an environment a rollout is nothing but sampling.
        ids = watch.timed("rollout", watch.timed("sampling", self.generate))(prompts)
        rollout = watch.timed("old, reference", self.evaluate)(ids)
        for _ in range(self.work.n_epochs):
            # One minibatch, drawn in an order as always.
            self.learn(rollout, torch.randperm(self.work.n_episodes))
        watch.end_update()

    @torch.no_grad()
    def generate(self, prompts: Tensor) -> Tensor:
        """Returns prompts (n, prompt) with responses."""
        cache, new, written = DynamicCache(), prompts, [prompts]
        # One context for all steps, since weights are converted once in each.
        with self._autocast():
            for _ in range(self.work.response_tokens):
                hidden = self.policy.model(
                    input_ids=new, past_key_values=cache, use_cache=True
                ).last_hidden_state
                logits = self.policy.lm_head(hidden[:, -1])
                new = torch.multinomial(logits.float().softmax(-1), 1)
                written.append(new)
        return torch.cat(written, dim=1)

    @torch.no_grad()
    def evaluate(self, ids: Tensor) -> _Rollout:
        """Computes what the update needs, and whitens the advantages."""
        work = self.work
        logprobs, values = self._logprobs_and_values(ids)
        with self._autocast():
            hidden = self._states(self.reference.model, ids)
            ref_logprobs = self._logprobs(self.reference.lm_head, hidden, ids)
        rewards = -work.kl_coef * (logprobs - ref_logprobs)
        rewards[:, -1] += (ids % 2 == 0).float().mean(dim=1)
        advantages = torch.stack(list(_gae(rewards, values, work)), dim=1).flip(1)
        whitened = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        return _Rollout(ids, logprobs, values, whitened, advantages + values)

    def learn(self, rollout: _Rollout, rows: Tensor) -> None:
        """Takes one step of the optimizer."""
        work = self.work
        logprobs, values = self._logprobs_and_values(rollout.ids[rows])
        ratio = (logprobs - rollout.logprobs[rows]).exp()
        gain = rollout.advantages[rows]
        clipped = ratio.clamp(1 - work.clip_range, 1 + work.clip_range)
        policy_loss = -torch.min(gain * ratio, gain * clipped).mean()
        old, wanted = rollout.values[rows], rollout.returns[rows]
        near = old + (values - old).clamp(-work.clip_range_vf, work.clip_range_vf)
        value_loss = torch.max((values - wanted) ** 2, (near - wanted) ** 2).mean() / 2
        loss = policy_loss + work.vf_coef * value_loss
        loss.backward()  # type: ignore[no-untyped-call] # has no types
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _logprobs_and_values(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Returns both for each token of the responses, (n, response)."""
        with self._autocast():
            hidden = self._states(self.policy.model, ids)
            logprobs = self._logprobs(self.policy.lm_head, hidden, ids)
            if self.critic is not None:
                hidden = self._states(self.critic, ids)
            values: Tensor = self.value_head(hidden).squeeze(-1).float()
            return logprobs, values

    def _states(self, backbone: Any, ids: Tensor) -> Tensor:
        """Returns the hidden states before each token of the responses."""
        hidden = backbone(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
        states: Tensor = hidden[:, self.work.prompt_tokens - 1 :]
        return states

    def _logprobs(self, head: nn.Module, hidden: Tensor, ids: Tensor) -> Tensor:
        logits: Tensor = head(hidden).float()
        written = ids[:, self.work.prompt_tokens :, None]
        chosen: Tensor = logits.gather(2, written).squeeze(-1)
        return chosen - logits.logsumexp(-1)

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.work.bf16)


def _load(folder: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def _gae(rewards: Tensor, values: Tensor, work: Work) -> Iterator[Tensor]:
    """Yields generalised advantages (n,) from the last token to the first."""
    next_values = last = torch.zeros(len(rewards))
    for t in reversed(range(rewards.shape[1])):
        error = rewards[:, t] + work.gamma * next_values - values[:, t]
        last = error + work.gamma * work.gae_lambda * last
        next_values = values[:, t]
        yield last


def run(work: Work) -> Outcome:
    """Trains for so many updates, and times them."""
    loop, watch = BareLoop(work), Stopwatch(work.warmup)
    watch.start()
    for number in range(work.warmup + work.updates):
        loop.update(number, watch)
    return watch.finish(float(work.response_tokens), "torch", "transformers")


if __name__ == "__main__":
    run_as_program(run)
