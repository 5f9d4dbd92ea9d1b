"""Memory that a training run needs, and the largest settings that fit its device.

An agent without weights, made as `textenv train` makes it, does what it does in an iteration, with
every episode as long as the environment allows; the bytes that it would hold are counted.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.utils import get_device
from torch import nn
from transformers import PreTrainedModel

import agents.ppo.policy
import agents.ppo.reference
from agents.memory.weightless import MemoryReaders, QuantizedLinear, Weightless
from agents.models.attention import use_own_attention
from agents.models.loading import enable_gradient_checkpointing
from agents.models.options import choose_bf16
from agents.ppo.buffer import EpisodeBatch, make_batch
from agents.ppo.vec_env import TextVecEnv
from agents.training.config import TrainConfig
from agents.training.run import environment_arguments, make_agent
from textenv.rollout import PlayedEpisode

GIB = 2**30
# What is on a device before there is a model: a GPU's context and libraries, or a process's own.
_RESERVED_BYTES = GIB
# Of the rest: memory is handed out in blocks, and what lies between them is lost.
_USABLE_SHARE = 0.95
_CLOSE_ENOUGH = 0.05  # of the number that is searched for
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class MemoryUse:
    """Bytes that a run holds; what models share is counted once.

    Attributes:
        trainable: Parameters that learn, critic and value head included.
        frozen: Parameters of the policy that do not learn.
        weights: Bytes of the language model.
        critic: Bytes of the value head and of a separate critic.
        reference: Bytes of the reference model.
        gradients: Bytes of all gradients.
        optimizer: Bytes of the optimizer's state.
        cache: Bytes of the slots' keys and values, which stay during updates.
        saved: Bytes that a micro-batch of the update keeps for its backward pass.
        checkpointed_saved: The same with `gradient_checkpointing`.
        rollout_peak: Most bytes while episodes are played.
        evaluation_peak: Most bytes while they are evaluated under the policy and the reference.
        update_peak: Most bytes while gradients are computed and the optimizer steps.
        rows: Episodes of a micro-batch of the update.
        window: Tokens of an episode.
        written: Tokens of an episode that the agent writes.
    """

    trainable: int
    frozen: int
    weights: int
    critic: int
    reference: int
    gradients: int
    optimizer: int
    cache: int
    saved: int
    checkpointed_saved: int
    rollout_peak: int
    evaluation_peak: int
    update_peak: int
    rows: int
    window: int
    written: int

    @property
    def peak(self) -> int:
        """Most bytes at any time."""
        return max(self.rollout_peak, self.evaluation_peak, self.update_peak)


@dataclass(frozen=True)
class MemoryPlan:
    """What a run needs, and what its device has room for.

    Attributes:
        use: What the run needs as it is configured.
        memory_bytes: Memory of the device.
        usable_bytes: How much of it a run can fill.
        max_tokens_per_batch: The most tokens of a pass that fit, all else as configured; 0 where
            not even one episode does.
        n_envs: The most slots that fit, likewise.
    """

    use: MemoryUse
    memory_bytes: int
    usable_bytes: int
    max_tokens_per_batch: int
    n_envs: int

    @property
    def fits(self) -> bool:
        """Whether the run fits as it is configured."""
        return self.use.peak <= self.usable_bytes


def count_memory(config: TrainConfig) -> MemoryUse:
    """Counts what a training run holds, without reading weights or computing anything.

    Raises:
        ModelError: The model does not exist, or does not fit the environment.
        ConfigError: A setting does not fit.
    """
    with open_trial(config) as trial:
        return trial.count()


def make_plan(
    config: TrainConfig,
    memory_bytes: int,
    progress: Callable[[float, str], None] = lambda done, note: None,
) -> MemoryPlan:
    """Finds what a run needs, and the largest passes and numbers of slots that fit.

    Both searches end at the number of episodes of an iteration, beyond which nothing is gained.

    Args:
        config: The run's configuration.
        memory_bytes: Memory of its device.
        progress: Called with the share that is done, and what comes next.

    Raises:
        ModelError: The model does not exist, or does not fit the environment.
        ConfigError: A setting does not fit.
    """
    usable = max(0, int(_USABLE_SHARE * (memory_bytes - _RESERVED_BYTES)))
    progress(0.0, "an iteration")
    with open_trial(config) as trial:
        use = trial.count()

        def learn(rows: int) -> int:
            progress(0.4, f"an update of {rows} episodes a pass")
            return max(trial.learn(rows * use.window))

        def play(n_slots: int) -> int:
            progress(0.7, f"a rollout of {n_slots} slots")
            peak, cache = trial.play(n_slots)
            return max(peak, cache - use.cache + max(use.evaluation_peak, use.update_peak))

        rows = find_largest(learn, trial.n_episodes, usable)
        n_envs = find_largest(play, trial.n_episodes, usable)
    progress(1.0, "")
    return MemoryPlan(use, memory_bytes, usable, rows * use.window, n_envs)


@contextmanager
def open_trial(config: TrainConfig) -> Iterator[Trial]:
    """Makes the agent of a training run without weights, for as long as the context lasts."""
    counter = Weightless()
    device = get_device(config.device).type

    def load_model(model: str, quantize: str | None = None) -> PreTrainedModel:
        built = counter.build_model(model, quantize)
        if device == "cpu":
            use_own_attention(built)
        return built

    # Objects of before need not be looked through each time that unused ones are sought.
    gc.freeze()
    try:
        with (
            MemoryReaders(),
            counter,
            patch.object(agents.ppo.policy, "load_model", load_model),
            patch.object(agents.ppo.reference, "load_model", load_model),
        ):
            bf16 = choose_bf16(config.bf16, device)
            yield Trial(config.model_copy(update={"bf16": bf16}), counter)
    finally:
        gc.unfreeze()


class Trial:
    """An agent without weights, which knows the bytes that it would hold.

    Args:
        config: The run's configuration.
        counter: A byte counter that is entered.

    Attributes:
        n_episodes: Episodes of an iteration.
    """

    def __init__(self, config: TrainConfig, counter: Weightless) -> None:
        # Without memory a device is only a name, and there is nothing to compile. A sampler's
        # memory is an option of its own. Beyond the warm-up of the critic everything learns.
        changes = {"device": "cpu", "compile_layers": False, "sampler": None, "critic_warmup": 0}
        arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
        self._agent = make_agent(config.model_copy(update=changes), arguments)
        self._agent.set_logger(Logger(None, []))
        self._policy = self._agent.policy
        self.n_episodes = self._agent.options.n_episodes
        self._config = config
        self._counter = counter
        assert isinstance(self._agent.env, TextVecEnv)
        core = self._agent.env.core
        self._window = core.window
        self._prompt = min(core.max_prompt_tokens, core.window - 1)
        self._written = min(core.max_turns * core.max_new_tokens, core.window - 1)
        self._held = self._hold()

    def _hold(self) -> dict[str, int]:
        """Makes the reference, gradients and the optimizer's state; returns what stays."""
        policy = self._policy
        learning = [p for group in policy.optimizer.param_groups for p in group["params"]]
        trainable = sum(p.numel() for p in learning)
        # Packed weights have other sizes than the weights that they stand for.
        packed = [m for m in policy.modules() if isinstance(m, QuantizedLinear)]
        sizes = {id(p): p.numel() for p in policy.parameters()}
        sizes |= {id(module.weight): module.n_weights for module in packed}
        weights, critic = _storages(policy.lm), _storages(policy.value_head, policy.critic)
        live = [self._live_bytes()]
        _ = self._agent.reference
        live.append(self._live_bytes())
        for parameter in learning:
            parameter.grad = torch.zeros_like(parameter)
        live.append(self._live_bytes())
        policy.optimizer.step()
        live.append(self._live_bytes())
        return {
            "trainable": trainable,
            "frozen": sum(sizes.values()) - trainable,
            "weights": sum(weights.values()),
            "critic": sum(n for key, n in critic.items() if key not in weights),
            "reference": live[1] - live[0],
            "gradients": live[2] - live[1],
            "optimizer": live[3] - live[2],
        }

    def count(self) -> MemoryUse:
        """Counts the bytes of an iteration as it is configured."""
        config = self._config
        rollout_peak, cache = self.play(self._agent.n_envs)
        evaluation_peak, update_peak = self.learn(config.max_tokens_per_batch)
        rows = max(1, config.max_tokens_per_batch // self._window)
        rows = min(rows, self._agent.batch_size, self.n_episodes)
        # The configured way last: it stays.
        is_checkpointed = config.gradient_checkpointing
        saved = {
            way: self._saved_bytes(rows, way) for way in (not is_checkpointed, is_checkpointed)
        }
        return MemoryUse(
            **self._held,
            cache=cache,
            saved=saved[False],
            checkpointed_saved=saved[True],
            rollout_peak=rollout_peak,
            evaluation_peak=evaluation_peak,
            update_peak=update_peak,
            rows=rows,
            window=self._window,
            written=self._written,
        )

    def play(self, n_slots: int) -> tuple[int, int]:
        """Has slots read the longest prompts and write the last token.

        Returns:
            The most bytes that were held, and the bytes of the slots' keys and values, which stay.
        """
        self._policy.forget()
        before = self._live_bytes()
        ids, slots = np.zeros((n_slots, self._window), np.int32), np.arange(n_slots)
        peaks = {}
        # The last of the window's tokens ends the episode and is never read.
        last = max(self._window - 1, self._prompt)
        for length in sorted({self._prompt, max(last - 1, self._prompt), last}):
            self._counter.start_peak()
            self._policy.act(ids, np.full(n_slots, length), slots)
            peaks[length] = self._counter.peak_bytes
        # All tokens but the last at once are not what is played.
        return max(peaks[self._prompt], peaks[last]), self._live_bytes() - before

    def learn(self, max_tokens: int) -> tuple[int, int]:
        """Evaluates the longest episodes, computes a gradient and has the optimizer step.

        Args:
            max_tokens: Tokens of a pass of the model.

        Returns:
            The most bytes that were held in the evaluation, and in the rest.
        """
        self._policy.options = self._policy.options.replace(max_tokens_per_batch=max_tokens)
        # The second micro-batch of a minibatch meets the gradients of the first; all others are
        # like it.
        rows, batch_size = max(1, max_tokens // self._window), self._agent.batch_size
        n_episodes = min(self.n_episodes, max(rows, min(batch_size, 2 * rows)))
        batch = self._longest_episodes(n_episodes)
        self._counter.start_peak()
        targets = self._agent.compute_targets(batch)
        evaluation_peak = self._counter.peak_bytes
        self._counter.start_peak()
        self._agent.accumulate_gradients(batch, targets, torch.arange(n_episodes)[:batch_size])
        self._policy.optimizer.step()
        return evaluation_peak, self._counter.peak_bytes

    def _saved_bytes(self, n_episodes: int, gradient_checkpointing: bool) -> int:
        """Returns what a forward pass keeps for its backward pass."""
        policy = self._policy
        for model in (policy.lm, policy.critic):
            if model is not None and gradient_checkpointing:
                enable_gradient_checkpointing(model)
            elif model is not None:
                model._set_gradient_checkpointing(enable=False)
        policy.set_training_mode(True)
        batch = self._longest_episodes(n_episodes)
        before = self._counter.live_bytes
        outputs = policy.evaluate_sequences(batch)
        held = self._counter.live_bytes - before
        del outputs
        return held

    def _longest_episodes(self, n_episodes: int) -> EpisodeBatch:
        mask = np.arange(self._window) >= self._window - self._written
        ids = np.zeros(self._window, np.int32)
        return make_batch([PlayedEpisode(ids, mask, mask.astype(np.float32))] * n_episodes)

    def _live_bytes(self) -> int:
        """Returns what is held now, without what only waits for Python to find it unused."""
        gc.collect()
        return self._counter.live_bytes


def _storages(*modules: nn.Module | None) -> dict[int, int]:
    """Returns the bytes of each storage of modules' parameters and buffers."""
    parts = [module for module in modules if module is not None]
    tensors = [t for part in parts for t in (*part.parameters(), *part.buffers())]
    return {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}


def find_largest(bytes_of: Callable[[int], int], limit: int, budget: int) -> int:
    """Finds the largest number whose bytes fit a budget, or one at most 5 % below it.

    Bytes grow with the number, nearly in a straight line, so that few trials are needed.

    Args:
        bytes_of: A trial.
        limit: The most that is wanted.
        budget: Bytes that there are.

    Returns:
        0 if 1 does not fit.
    """
    if (most := bytes_of(limit)) <= budget:
        return limit
    if limit == 1 or (least := bytes_of(1)) > budget:
        return 0
    low, high = 1, limit
    while high - low > max(1, _CLOSE_ENOUGH * low):
        slope = (most - least) / (high - low)
        guess = min(max(low + int((budget - least) / slope), low + 1), high - 1)
        if (found := bytes_of(guess)) <= budget:
            low, least = guess, found
            # A line that was right ends the search: the next number is over the budget.
            if found + slope > budget:
                break
        else:
            high, most = guess, found
    return low


def device_memory_bytes(device: torch.device) -> int:
    """Returns the memory of a device; of a CPU, what the machine or the container has."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = _CGROUP_LIMIT.read_text(encoding="ascii").strip() if _CGROUP_LIMIT.is_file() else ""
    return min(total, int(text)) if text.isdigit() else total
