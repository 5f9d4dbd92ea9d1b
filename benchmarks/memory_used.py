"""Trains for two iterations and says how much memory each phase held, as JSON on standard output.

    python -m benchmarks.memory_used CONFIG.yaml

On a GPU that is `torch.cuda.max_memory_allocated`. On a CPU it is the resident memory of the
process, looked at every few milliseconds, less what it was before there was a model.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

import textenv  # noqa: F401 - registers the environments
from agents.cli.arguments import pick_device
from agents.training.config import TrainConfig, read_config_file, train_config
from agents.training.run import environment_arguments, make_agent
from textenv.vector import make_core

ITERATIONS = 2
_EVERY_S = 0.002


class CpuMeter:
    """The peaks of a process's resident memory, phase by phase."""

    def __init__(self) -> None:
        self._phase = ""
        self._peaks: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._baseline = _resident_bytes()
        self._thread.start()

    def begin(self, phase: str) -> None:
        """Begins a phase, which may be one that was before."""
        self._phase = phase

    def end(self) -> dict[str, int]:
        """Stops, and returns the peak of each phase above the baseline, in bytes."""
        self._stop.set()
        self._thread.join()
        return {name: peak - self._baseline for name, peak in self._peaks.items() if name}

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_S):
            phase = self._phase
            self._peaks[phase] = max(self._peaks.get(phase, 0), _resident_bytes())


class CudaMeter:
    """The peaks of torch's allocator on a GPU, phase by phase."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._phase = ""
        self._peaks: dict[str, int] = {}
        torch.cuda.reset_peak_memory_stats(device)

    def begin(self, phase: str) -> None:
        """Begins a phase, which may be one that was before."""
        peak = torch.cuda.max_memory_allocated(self._device)
        self._peaks[self._phase] = max(self._peaks.get(self._phase, 0), peak)
        torch.cuda.reset_peak_memory_stats(self._device)
        self._phase = phase

    def end(self) -> dict[str, int]:
        """Stops, and returns the peak of each phase, in bytes."""
        self.begin("")
        return {name: peak for name, peak in self._peaks.items() if name}


class _Phases(BaseCallback):
    """Tells a meter when the rollout begins and ends."""

    def __init__(self, meter: CpuMeter | CudaMeter) -> None:
        super().__init__()
        self._meter = meter

    def _on_rollout_start(self) -> None:
        self._meter.begin("rollout")

    def _on_rollout_end(self) -> None:
        self._meter.begin("update")

    def _on_step(self) -> bool:
        return True


def measure_memory(config: TrainConfig) -> dict[str, Any]:
    """Trains for two iterations; returns the peak bytes of rollout and update."""
    device = pick_device(config.device)
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    # What the libraries and the environment allot on their first use is not the model's.
    make_core(config.id, 1, arguments)
    layer = torch.nn.Linear(64, 64).to(device)
    layer(torch.ones(64, 64, device=device)).sum().backward()
    meter = CudaMeter(device) if device.type == "cuda" else CpuMeter()
    agent = make_agent(config, arguments)
    agent.options.critic_warmup = 0
    agent.set_logger(Logger(None, []))
    agent.learn(total_episodes=ITERATIONS * config.n_episodes, callback=_Phases(meter))
    peaks = meter.end()
    lengths = [len(episode.input_ids) for episode in agent.episodes]
    return {
        **peaks,
        "peak": max(peaks.values()),
        "longest": max(lengths),
        "mean_length": sum(lengths) / len(lengths),
        "window": agent.policy.window,
    }


def _resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("This needs Linux: /proc/self/status has no VmRSS.")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure_memory(train_config(read_config_file(Path(sys.argv[1]))))))
