"""Memory that a training run needs, and the largest settings that fit its device.

An agent without weights, made as `textenv train` makes it, does what it does in an iteration, with
every episode as long as the environment allows; the bytes that it would hold are counted.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import get_device
from torch import nn
from transformers import PreTrainedModel

import agents.policy.networks
import agents.ppo.reference
from agents.memory.weightless import MemoryReaders, Weightless
from agents.models.attention import use_own_attention
from agents.models.options import choose_bf16
from agents.policy.episode_batch import EpisodeBatch, make_batch
from agents.ppo.ppo import TextPPO
from agents.ppo.vec_env import TextVecEnv
from agents.training.config import TrainConfig
from agents.training.run import make_agent
from textenv.rollout import PlayedEpisode
from textenv.vector import environment_arguments

GIB = 2**30
# What is on a device before there is a model: a GPU's context and libraries, or a process's own.
_RESERVED_BYTES = GIB
# Of the rest: memory is handed out in blocks, and what lies between them is lost.
_USABLE_SHARE = 0.95
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class MemoryUse:
    """What a run holds, in bytes where nothing else is said; what models share is counted once."""

    trainable: int  # parameters that learn, critic and value head included
    frozen: int  # parameters of the policy that do not learn
    rows: int  # episodes of a micro-batch of the update
    window: int  # tokens of an episode
    written: int  # tokens of an episode that the agent writes
    weights: int  # of the language model
    critic: int  # of the value head and of a separate critic
    reference: int
    gradients: int
    optimizer: int
    cache: int  # keys and values of the slots, which stay during updates
    activations: int  # what a micro-batch of the update keeps for its backward pass
    rollout_peak: int
    evaluation_peak: int  # while episodes are evaluated under the policy and the reference
    update_peak: int  # while gradients are computed and the optimizer steps

    @property
    def peak(self) -> int:
        """Most bytes at any time."""
        return max(self.rollout_peak, self.evaluation_peak, self.update_peak)


def usable_bytes(memory_bytes: int) -> int:
    """Returns how much of a device's memory a run can fill."""
    return max(0, int(_USABLE_SHARE * (memory_bytes - _RESERVED_BYTES)))


def find_largest(use: MemoryUse, config: TrainConfig, usable: int) -> dict[str, int]:
    """Returns the largest `max_tokens_per_batch` and `n_envs` that fit, all else as configured.

    What passes and slots take is a part that is the same for any number of them, and a part that
    grows in proportion; a second count, with half of each, tells them apart. More than a minibatch,
    or the episodes of an iteration, is of no use; 0 is where not even 1 episode or slot fits.
    """
    n_envs = min(config.n_envs, config.n_episodes)
    # Slots come in whole groups.
    few = max(1, n_envs // 2 // config.group_size) * config.group_size
    changes = {"max_tokens_per_batch": max(1, use.rows // 2) * use.window, "n_envs": few}
    less = count_memory(config.model_copy(update=changes))

    def largest(n: int, taken: int, fewer: int, taken_by_fewer: int) -> int:
        held = use.weights + use.critic + use.reference + use.gradients + use.optimizer
        if fewer == n:
            fewer, taken_by_fewer = 0, held
        return n + (usable - taken) * (n - fewer) // max(1, taken - taken_by_fewer)

    learning, less_learning = (max(u.evaluation_peak, u.update_peak) for u in (use, less))
    rows = largest(use.rows, learning, less.rows, less_learning + use.cache - less.cache)
    slots = min(
        largest(n_envs, use.rollout_peak, few, less.rollout_peak),
        largest(n_envs, learning, few, learning - use.cache + less.cache),
    )
    rows = min(max(0, rows), config.batch_size, config.n_episodes)
    slots = min(max(0, slots), config.n_episodes)
    return {"max_tokens_per_batch": rows * use.window, "n_envs": slots}


def count_memory(config: TrainConfig) -> MemoryUse:
    """Counts what a training run holds, without reading weights or computing anything."""
    counter, device = Weightless(), get_device(config.device).type

    def load_model(model: str, quantize: str | None = None) -> PreTrainedModel:
        built = counter.build_model(model)
        if device == "cpu":
            use_own_attention(built)
        return built

    # Without memory a device is only a name, and there is nothing to compile. A sampler's memory is
    # an option of its own. Beyond the warm-up of the critic everything learns.
    changes = {"device": "cpu", "compile_layers": False, "sampler": None, "critic_warmup": 0}
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    with (
        MemoryReaders(),
        counter,
        patch.object(agents.policy.networks, "load_model", load_model),
        patch.object(agents.ppo.reference, "load_model", load_model),
    ):
        changes["bf16"] = choose_bf16(config.bf16, device)
        agent = make_agent(config.model_copy(update=changes), arguments)
        agent.set_logger(Logger(None, []))
        with _only_new_garbage():
            return _Iteration(agent, counter).count(config.quantize)


@contextmanager
def _only_new_garbage() -> Iterator[None]:
    """Has garbage collection pass over all that there is, which takes most of its time."""
    if gc.get_freeze_count():
        yield  # somebody else's
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


class _Iteration:
    """An iteration of an agent without weights, whose bytes a counter counts."""

    def __init__(self, agent: TextPPO, counter: Weightless) -> None:
        self._agent, self._policy, self._counter = agent, agent.policy, counter
        assert isinstance(agent.env, TextVecEnv)
        core = agent.env.core
        self._window = core.window
        self._prompt = min(core.max_prompt_tokens, core.window - 1)
        self._written = min(core.max_turns * core.max_new_tokens, core.window - 1)

    def count(self, quantize: str | None) -> MemoryUse:
        """Makes all that stays, plays, evaluates and learns."""
        policy = self._policy
        saved = 0 if quantize is None else _saved_by_packing(policy.lm, quantize)
        self._counter.live_bytes -= saved
        weights, all_weights = _storage_bytes(policy.lm) - saved, _storage_bytes(policy) - saved
        learning = [p for group in policy.optimizer.param_groups for p in group["params"]]
        trainable = sum(p.numel() for p in learning)
        reference = self._kept(lambda: self._agent.reference)
        for parameter in learning:
            parameter.grad = torch.zeros_like(parameter)
        optimizer = self._kept(policy.optimizer.step)
        cache = self._kept(self._play)
        rows = max(1, policy.options.max_tokens_per_batch // self._window)
        rows = min(rows, self._agent.batch_size, self._agent.options.n_episodes)
        evaluation_peak, update_peak = self._learn(2 * rows)
        policy.set_training_mode(True)
        before = self._counter.live_bytes
        outputs = policy.evaluate_sequences(self._longest_episodes(rows))
        activations = self._counter.live_bytes - before
        del outputs
        return MemoryUse(
            trainable=trainable,
            frozen=sum(p.numel() for p in policy.parameters()) - trainable,
            rows=rows,
            window=self._window,
            written=self._written,
            weights=weights,
            critic=all_weights - weights,
            reference=reference,
            gradients=sum(p.nbytes for p in learning),
            optimizer=optimizer,
            cache=cache,
            activations=activations,
            rollout_peak=self._rollout_peak,
            evaluation_peak=evaluation_peak,
            update_peak=update_peak,
        )

    def _play(self) -> None:
        """Has slots read the longest prompts and write the last token, and notes the peak."""
        peak = self._act(self._prompt)
        self._policy.forget()
        # All tokens but the last at once are not what is played, so this peak does not count. The
        # last of the window's tokens ends the episode and is never read.
        self._act(max(self._window - 2, self._prompt))
        self._rollout_peak = max(peak, self._act(self._window - 1))

    def _act(self, length: int) -> int:
        """Has all slots choose a token after so many; returns the most bytes that were held."""
        n_slots = self._agent.n_envs
        ids = np.zeros((n_slots, self._window), np.int32)
        self._counter.peak_bytes = self._counter.live_bytes
        self._policy.act(ids, np.full(n_slots, length), np.arange(n_slots))
        return self._counter.peak_bytes

    def _learn(self, n_episodes: int) -> tuple[int, int]:
        """Evaluates the longest episodes, computes a gradient and has the optimizer step.

        Two micro-batches are enough: the second one meets the gradients of the first, and all
        others are like it.

        Returns:
            The most bytes that were held in the evaluation, and in the rest.
        """
        n_episodes = min(n_episodes, self._agent.options.n_episodes)
        batch = self._longest_episodes(n_episodes)
        self._counter.peak_bytes = self._counter.live_bytes
        targets = self._agent.compute_targets(batch)
        evaluation_peak = self._counter.peak_bytes
        self._counter.peak_bytes = self._counter.live_bytes
        learned = torch.arange(n_episodes)[: self._agent.batch_size]
        self._agent.accumulate_gradients(batch, targets, learned)
        self._policy.optimizer.step()
        return evaluation_peak, self._counter.peak_bytes

    def _longest_episodes(self, n_episodes: int) -> EpisodeBatch:
        mask = np.arange(self._window) >= self._window - self._written
        ids = np.zeros(self._window, np.int32)
        batch = make_batch([PlayedEpisode(ids, mask, mask.astype(np.float32))] * n_episodes)
        # Episodes of the same prompt take less.
        return replace(batch, openings=None)

    def _kept(self, act: Callable[[], object]) -> int:
        """Returns the bytes that an act leaves, without what Python has yet to find unused."""
        gc.collect()
        before = self._counter.live_bytes
        act()
        gc.collect()
        return self._counter.live_bytes - before


def _storage_bytes(module: nn.Module) -> int:
    """Returns the bytes of a module's parameters and buffers, each storage once."""
    storages = [t.untyped_storage() for t in (*module.parameters(), *module.buffers())]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


def _saved_by_packing(model: PreTrainedModel, quantize: str) -> int:
    """Returns the bytes by which quantized linear layers are smaller than plain ones."""
    head: object = model.get_output_embeddings()  # type: ignore[no-untyped-call] # has no types
    saved = 0
    for module in model.modules():
        if isinstance(module, nn.Linear) and module is not head and not module.weight.requires_grad:
            n = module.weight.numel()
            # In 4 bits, 64 weights share a scale of a byte; in 8 bits, a row one of 4 bytes.
            packed = n // 2 + n // 64 if quantize == "4bit" else n + 4 * module.out_features
            saved += module.weight.nbytes - packed
    return saved


def device_memory_bytes(device: torch.device) -> int:
    """Returns the memory of a device; of a CPU, what the machine or the container has."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = _CGROUP_LIMIT.read_text(encoding="ascii").strip() if _CGROUP_LIMIT.is_file() else ""
    return min(total, int(text)) if text.isdigit() else total
