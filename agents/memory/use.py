"""What of a training run takes how many bytes, counted without weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from agents.memory.trial import EpisodeShape, Trial, open_trial
from agents.memory.weightless import ByteCounter, QuantizedLinear
from agents.models.token_logprobs import token_logprobs
from agents.ppo.buffer import EpisodeBatch
from agents.ppo.policy import LMPolicy
from agents.training.config import TrainConfig

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Saved:
    """Bytes that a micro-batch keeps from its forward pass for the backward pass.

    Attributes:
        attention: By the attention itself: queries, keys, values, results.
        rest: By everything else up to the log-probabilities and values.
    """

    attention: int
    rest: int

    @property
    def total(self) -> int:
        """Both."""
        return self.attention + self.rest


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of a run, and how they add up over an iteration.

    Attributes:
        trainable: Parameters that learn, critic and value head included.
        frozen: Parameters of the policy that do not.
        weights: Bytes of the language model.
        critic: Of the value head and of a separate critic, apart from what it shares.
        reference: Of the reference model, apart from what it shares.
        gradients: Of all gradients.
        optimizer: Of the optimizer's state.
        cache: Keys and values of the slots.
        held_cache: What of them is still held during an update.
        saved: Of one micro-batch of the update, for its backward pass.
        logits: The most that computing log-probabilities holds at a time, forth and back.
        rollout_peak: The most that is held while episodes are played.
        evaluation_peak: While they are evaluated under the policy and the reference.
        update_peak: While gradients are computed and the optimizer steps.
        rows: Episodes of a micro-batch of the update.
        n_slots: Episodes that are played at a time.
        shape: The episodes.
    """

    trainable: int
    frozen: int
    weights: int
    critic: int
    reference: int
    gradients: int
    optimizer: int
    cache: int
    held_cache: int
    saved: Saved
    logits: int
    rollout_peak: int
    evaluation_peak: int
    update_peak: int
    rows: int
    n_slots: int
    shape: EpisodeShape

    @property
    def peak(self) -> int:
        """The most that is held at any time."""
        return max(self.rollout_peak, self.evaluation_peak, self.update_peak)


def count_memory(config: TrainConfig, progress: Progress = lambda done, note: None) -> MemoryUse:
    """Counts what a training run holds, without reading weights or computing anything.

    Args:
        config: The run.
        progress: Called with the share that is done, and what comes next.

    Raises:
        ModelError: The model does not exist, or does not fit the environment.
        ConfigError: A setting does not fit.
    """
    progress(0.0, "models")
    with open_trial(config) as trial:
        return use_memory(trial, progress)


def use_memory(trial: Trial, progress: Progress = lambda done, note: None) -> MemoryUse:
    """Counts what an iteration of a trial's agent holds."""
    agent, counter = trial.agent, trial.counter
    progress(0.3, "rollout")
    empty = trial.live_bytes()
    played = trial.play(agent.n_envs)
    progress(0.5, "update")
    learned = trial.learn(agent.policy.options.max_tokens_per_batch)
    held_cache = trial.live_bytes() - empty
    progress(0.8, "activations")
    part = trial.first_micro_batch()
    return MemoryUse(
        **_sizes(agent.policy),
        reference=trial.reference,
        gradients=trial.gradients,
        optimizer=trial.optimizer,
        cache=played.cache,
        held_cache=held_cache,
        saved=measure_saved(agent.policy, part, counter),
        logits=_logits_peak(agent.policy, part, counter),
        rollout_peak=played.peak,
        evaluation_peak=learned.evaluation_peak,
        update_peak=learned.update_peak,
        rows=len(part),
        n_slots=agent.n_envs,
        shape=trial.shape,
    )


def measure_saved(policy: LMPolicy, part: EpisodeBatch, counter: ByteCounter) -> Saved:
    """Counts what a forward pass over a micro-batch keeps for its backward pass."""
    attention: dict[int, int] = {}
    inside = _InsideAttention()

    def pack(tensor: Tensor) -> Tensor:
        if inside.is_inside:
            storage = tensor.untyped_storage()
            attention[storage._cdata] = storage.nbytes()
        # A result that is kept by its own graph would never be freed.
        return tensor.detach()

    policy.set_training_mode(True)
    before = counter.live_bytes
    with inside, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = policy.evaluate_sequences(part)
    held = counter.live_bytes - before
    del outputs
    # Of a layer that is computed again for the backward pass, nothing of this is kept.
    of_attention = 0 if policy.options.gradient_checkpointing else sum(attention.values())
    return Saved(of_attention, held - of_attention)


class _InsideAttention(TorchFunctionMode):
    """Tells whether the attention of a layer is being computed."""

    is_inside = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is not nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        self.is_inside = True
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.is_inside = False


def _logits_peak(policy: LMPolicy, part: EpisodeBatch, counter: ByteCounter) -> int:
    """Returns what log-probabilities of a micro-batch hold at most, their gradient included."""
    head: Any = policy.lm.get_output_embeddings()  # type: ignore[no-untyped-call] # has no types
    n_tokens = int(part.action_mask.sum())
    width = policy.value_head.in_features
    hidden = head.weight.new_zeros(n_tokens, width, dtype=torch.float32)
    hidden.requires_grad_()
    targets = torch.zeros(n_tokens, dtype=torch.long)
    before = counter.live_bytes
    counter.start_peak()
    with policy.autocast():
        logprobs, _ = token_logprobs(
            head, hidden, targets, policy.vocab_size, temperature=policy.options.temperature
        )
    logprobs.sum().backward()  # type: ignore[no-untyped-call] # has no types
    return counter.peak_bytes - before


def _sizes(policy: LMPolicy) -> dict[str, Any]:
    """Returns the sizes of a policy's parts by their names in `MemoryUse`."""
    learns = {id(p) for group in policy.optimizer.param_groups for p in group["params"]}
    everything = list(policy.parameters())
    weights = _storages(policy.lm)
    critic = _storages(policy.value_head)
    if policy.critic is not None:
        critic |= _storages(policy.critic)
    packed = {id(m.weight): m.n_weights for m in policy.modules() if isinstance(m, QuantizedLinear)}
    return {
        "trainable": sum(p.numel() for p in everything if id(p) in learns),
        "frozen": sum(packed.get(id(p), p.numel()) for p in everything if id(p) not in learns),
        "weights": sum(weights.values()),
        "critic": sum(n for key, n in critic.items() if key not in weights),
    }


def _storages(module: nn.Module) -> dict[int, int]:
    """Returns the bytes of each storage of a module's parameters and buffers."""
    tensors = [*module.parameters(), *module.buffers()]
    return {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}
