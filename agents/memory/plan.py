"""What a training run needs of a device, and the largest settings that fit it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from agents.memory.trial import open_trial
from agents.memory.use import MemoryUse, Progress, use_memory
from agents.training.config import TrainConfig

GIB = 2**30
# What is on a device before there is a model: a GPU's context and libraries, or a process's own.
_RESERVED_BYTES = GIB
# Of the rest: memory is handed out in blocks, and what lies between them is lost.
_USABLE_SHARE = 0.95
_CLOSE_ENOUGH = 0.05  # of the number that is searched for
_CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


@dataclass(frozen=True)
class MemoryPlan:
    """What a run needs, and what its device has room for.

    Attributes:
        use: What the run needs as it is configured.
        checkpointed_saved: What a micro-batch keeps for its backward pass with
            `gradient_checkpointing`.
        plain_saved: The same without.
        memory_bytes: Of the device.
        usable_bytes: Of them, what a run can fill.
        max_tokens_per_batch: The most tokens of a pass that fit, all else as configured; 0 where
            not even one episode does.
        n_envs: The most slots that fit, all else as configured; likewise.
    """

    use: MemoryUse
    checkpointed_saved: int
    plain_saved: int
    memory_bytes: int
    usable_bytes: int
    max_tokens_per_batch: int
    n_envs: int

    @property
    def fits(self) -> bool:
        """Whether the run fits as it is configured."""
        return self.use.peak <= self.usable_bytes

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, bytes throughout."""
        return asdict(self) | {"peak": self.use.peak, "fits": self.fits}


def make_plan(
    config: TrainConfig, memory_bytes: int, progress: Progress = lambda done, note: None
) -> MemoryPlan:
    """Finds what a run needs, and the largest passes and numbers of slots that fit.

    No weights are read. Both searches end at the number of episodes of an iteration, beyond which
    nothing is gained.

    Args:
        config: The run.
        memory_bytes: Of its device.
        progress: Called with the share that is done, and what comes next.

    Raises:
        ModelError: The model does not exist, or does not fit the environment.
        ConfigError: A setting does not fit.
    """
    usable = max(0, int(_USABLE_SHARE * (memory_bytes - _RESERVED_BYTES)))
    progress(0.0, "models")
    with open_trial(config) as trial:
        use = use_memory(trial, lambda done, note: progress(0.4 * done, note))
        window, n_episodes = trial.shape.window, trial.agent.options.n_episodes

        def learn(rows: int) -> int:
            progress(0.5, f"an update of {rows} episodes a pass")
            learned = trial.learn(rows * window)
            return max(learned.evaluation_peak, learned.update_peak)

        def play(n_slots: int) -> int:
            progress(0.8, f"a rollout of {n_slots} slots")
            played = trial.play(n_slots)
            # The cache of more slots is held beside what an update needs, if any is.
            share = use.held_cache / use.cache if use.cache else 0.0
            more = int(share * (played.cache - use.cache))
            return max(played.peak, more + max(use.evaluation_peak, use.update_peak))

        rows = find_largest(learn, n_episodes, usable)
        n_envs = find_largest(play, n_episodes, usable)
        saved = use.saved.total
        other = config.model_copy(
            update={"gradient_checkpointing": not config.gradient_checkpointing}
        )
    progress(0.9, "activations")
    with open_trial(other) as trial:
        other_saved = trial.saved_bytes()
    both = (saved, other_saved) if config.gradient_checkpointing else (other_saved, saved)
    progress(1.0, "")
    return MemoryPlan(use, *both, memory_bytes, usable, rows * window, n_envs)


def find_largest(bytes_of: Callable[[int], int], limit: int, budget: int) -> int:
    """Finds the largest number whose bytes fit a budget, or one at most 5 % below it.

    Bytes grow with the number, nearly in a straight line, so that few trials are needed.

    Args:
        bytes_of: A trial.
        limit: The most that is wanted.
        budget: In bytes.

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
        guess = low + int((budget - least) / slope)
        guess = min(max(guess, low + 1), high - 1)
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
    for path in map(Path, _CGROUP_LIMITS):
        if path.is_file() and (text := path.read_text(encoding="ascii").strip()).isdigit():
            total = min(total, int(text))
    return total
