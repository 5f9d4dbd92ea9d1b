"""Memory that `textenv plan` says a run needs, beside what the run then uses.

    python -m benchmarks.memory [--device cuda] [--json out.json]
    python -m benchmarks.memory --options     # what each option saves: the table of docs/memory.md

Each case is a real training of two iterations in a process of its own, on a random model of a known
shape, with prompts that fill their window. On a CPU the cases are small. The embedded model draws
at a temperature at which it hardly ever ends a turn by itself. Used is, on a GPU,
`torch.cuda.max_memory_allocated`; on a CPU the resident memory of the process, looked at every few
milliseconds, less what it was before there was a model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import track
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

import textenv  # noqa: F401 - registers the environments
from agents.memory.plan import count_memory
from agents.ppo.model_card import versions
from agents.training.config import (
    TrainConfig,
    load_config,
    read_config_file,
    train_config,
    write_config,
)
from agents.training.model_lookup import pick_device
from agents.training.run import make_agent
from benchmarks.measuring import JsonPath, make_table, write_json
from benchmarks.shapes import save_rows, save_shape
from textenv.vector import environment_arguments, make_core

_MIB = 2**20
_ITERATIONS = 2
_EVERY_S = 0.002
_LORA = "lora.r=16"
_CHECKPOINTED = "gradient_checkpointing=true"
_FROZEN = "frozen_layers=20"
_CRITIC = "separate_critic=true"
# Shape, and what is changed of the run.
CASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("embedded", ()),
    ("135m", ()),
    ("135m", (_LORA,)),
    ("135m", (_CHECKPOINTED,)),
    ("135m", ("bf16=true",)),
    ("gpt2", ()),
    ("gpt2", (_LORA,)),
    ("qwen3", ()),
    ("qwen3", (_LORA,)),
)
OPTIONS: tuple[tuple[str, ...], ...] = (
    *((), (_CHECKPOINTED,), (_LORA,), (_LORA, _CHECKPOINTED), ("bf16=true",), (_FROZEN,)),
    *((_LORA, _FROZEN), (_CRITIC,), (_LORA, _CRITIC), (_FROZEN, _CRITIC)),
)
_COLUMNS = (
    *("weights", "critic", "reference", "gradients", "optimizer", "activations"),
    "peak of an update",
)


def _sizes(episodes: int, tokens: int, prompt: int, new: int, batch: int) -> tuple[str, ...]:
    return (
        *(f"n_episodes={episodes}", f"n_envs={episodes}", f"batch_size={batch}"),
        *(f"max_tokens_per_batch={tokens}", "bf16=false"),
        *(f"env.max_prompt_tokens={prompt}", f"env.max_new_tokens={new}"),
    )


CPU_SIZES = _sizes(16, 1024, 96, 32, 16)
EMBEDDED_SIZES = (*_sizes(64, 8192, 64, 32, 64), "temperature=4")
CUDA_SIZES = _sizes(128, 10240, 256, 64, 64)
OPTIONS_SIZES = _sizes(64, 8192, 256, 64, 64)


def make_config(
    shape: str, settings: tuple[str, ...], folder: Path, device: torch.device
) -> TrainConfig:
    """Returns the configuration of a run; its model is written to the folder, once."""
    given: dict[str, Any] = {"id": "TextSummarize-v0", "device": str(device), "reward": "constant"}
    if shape == "embedded":
        return load_config(None, settings, model=shape, **given)
    model = folder / shape
    if not model.exists():
        save_shape(shape, model)
    given["dataset"] = save_rows(folder / "rows.jsonl", 512)
    return load_config(None, settings, model=str(model), **given)


class MemoryMeter(BaseCallback):
    """The most bytes of rollouts and of updates; what was there when it was made is left out."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.peaks: dict[str, int] = {}
        self._phase = "start"
        self._device = device
        self._is_cuda = device.type == "cuda"
        self._baseline = 0 if self._is_cuda else _resident_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if self._is_cuda:
            torch.cuda.reset_peak_memory_stats(device)
        else:
            self._thread.start()

    def end(self) -> dict[str, int]:
        """Stops, and returns the peaks of "rollout" and "update" in bytes."""
        self._begin("start")
        if not self._is_cuda:
            self._stop.set()
            self._thread.join()
        return {name: self.peaks[name] for name in ("rollout", "update")}

    def _begin(self, phase: str) -> None:
        if self._is_cuda:
            self._note(torch.cuda.max_memory_allocated(self._device))
            torch.cuda.reset_peak_memory_stats(self._device)
        self._phase = phase

    def _note(self, n_bytes: int) -> None:
        phase = self._phase
        self.peaks[phase] = max(self.peaks.get(phase, 0), n_bytes - self._baseline)

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._note(_resident_bytes())

    def _on_rollout_start(self) -> None:
        self._begin("rollout")

    def _on_rollout_end(self) -> None:
        self._begin("update")

    def _on_step(self) -> bool:
        return True


def _resident_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("This needs Linux: /proc/self/status has no VmRSS.")


def train_and_measure(config: TrainConfig) -> dict[str, Any]:
    """Trains for two iterations; returns the peak bytes of rollout and update."""
    device = pick_device(config.device)
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    # What the libraries and the environment allot on their first use is not the model's.
    make_core(config.id, 1, arguments)
    layer = torch.nn.Linear(64, 64).to(device)
    layer(torch.ones(64, 64, device=device)).sum().backward()
    meter = MemoryMeter(device)
    agent = make_agent(config.model_copy(update={"critic_warmup": 0}), arguments)
    agent.set_logger(Logger(None, []))
    agent.learn(total_episodes=_ITERATIONS * config.n_episodes, callback=meter)
    peaks = meter.end()
    lengths = [len(episode.input_ids) for episode in agent.episodes]
    return {
        **peaks,
        "peak": max(peaks.values()),
        "longest": max(lengths),
        "mean_length": sum(lengths) / len(lengths),
        "window": agent.policy.window,
    }


def measure_used(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Runs the training in a process of its own; returns what it used."""
    path = folder / "config.yaml"
    write_config(config, path)
    # Freed memory goes back to the system at once, or it would count as used.
    threshold = str(128 * 1024)
    environment = {"MALLOC_MMAP_THRESHOLD_": threshold, "MALLOC_TRIM_THRESHOLD_": threshold}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--train", str(path)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def print_options(console: Console, folder: Path) -> None:
    """Prints what a run on SmolLM2-135M's shape holds with each option, in MiB; trains nothing."""
    lines = [f"| options | {' | '.join(_COLUMNS)} |", "|---|" + "--:|" * len(_COLUMNS)]
    for options in track(OPTIONS, "Counting", console=Console(stderr=True)):
        settings = (*OPTIONS_SIZES, *options)
        use = count_memory(make_config("135m", settings, folder, torch.device("cpu")))
        found = (
            use.weights,
            use.critic,
            use.reference,
            use.gradients,
            use.optimizer,
            use.activations,
        )
        name = f"`{' '.join(options)}`" if options else "none"
        cells = " | ".join(f"{n / _MIB:.0f}" for n in (*found, use.update_peak))
        lines.append(f"| {name} | {cells} |")
    console.print("\n".join(lines), markup=False)


def compare(
    console: Console, folder: Path, device: torch.device, only: list[str] | None
) -> list[dict[str, Any]]:
    """Plans and trains each case, and prints both; returns the figures."""
    table = make_table(None, "case", "planned, MiB", "used, MiB", "planned / used")
    results = []
    for shape, changes in CASES:
        if only and shape not in only:
            continue
        sizes = CUDA_SIZES if device.type == "cuda" else CPU_SIZES
        sizes = EMBEDDED_SIZES if shape == "embedded" else sizes
        config = make_config(shape, (*sizes, *changes), folder, device)
        plan, used = count_memory(config), measure_used(config, folder)
        planned = {"rollout": plan.rollout_peak, "update": plan.update_peak, "peak": plan.peak}
        ratio = plan.peak / used["peak"]
        results.append(
            {"shape": shape, "changes": changes, "planned": planned, "used": used, "ratio": ratio}
        )
        label = " ".join((shape, *changes))
        mib = (f"{plan.peak / _MIB:,.0f}", f"{used['peak'] / _MIB:,.0f}")
        table.add_row(label, *mib, f"{ratio:.2f}")
        console.print(f"{label}: {mib[0]} planned, {mib[1]} MiB used")
    console.print()
    console.print(table)
    return results


def main(
    device: Annotated[str, typer.Option(help="Where to train.")] = "cpu",
    only: Annotated[list[str] | None, typer.Option(help="Shapes; all if none is named.")] = None,
    options: Annotated[
        bool, typer.Option("--options", help="Count what each option saves, and train nothing.")
    ] = False,
    json_path: JsonPath = None,
    train: Annotated[Path | None, typer.Option(help="A configuration to measure.")] = None,
) -> None:
    """Compare plans with the runs that follow."""
    if train is not None:
        found = train_and_measure(train_config(read_config_file(train)))
        sys.stdout.write(json.dumps(found))
        return
    chosen, console = pick_device(device), Console(highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        if options:
            print_options(console, Path(folder))
            return
        results = compare(console, Path(folder), chosen, only)
    write_json(json_path, {"device": str(chosen), "cases": results, "versions": versions()})


if __name__ == "__main__":
    typer.run(main)
