"""Decoding, learning and a whole iteration of TextPPO, each against its floor in the same process.

    python -m benchmarks.gpu [--json out.json]
    python -m benchmarks.gpu --lora --shape 1.1b      # peak memory instead, against the plan
    python -m benchmarks.gpu --device cpu --iterations 2 --small

The work: 256 episodes of 256 + 64 tokens on a random model of SmolLM2-135M's shape, 4 epochs of 4
minibatches, bfloat16 autocast with float32 weights, stepping a real environment with a constant
reward. Floors are bare loops (`benchmarks.floors`). The first iterations, which compile and
capture, are left out of the medians.
"""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from agents.memory.plan import count_memory
from agents.policy.episode_batch import EpisodeBatch
from agents.ppo.model_card import versions
from agents.ppo.ppo import TextPPO
from agents.ppo.targets import Targets
from agents.training.config import TrainConfig, train_config
from agents.training.model_lookup import pick_device
from agents.training.run import make_agent
from benchmarks.floors import Timings, decode_floor, learning_floor, synchronize
from benchmarks.measuring import JsonPath, make_table, write_json
from benchmarks.shapes import SHAPES, save_rows, save_shape
from textenv.vector import environment_arguments

GIB = 2**30


@dataclass(frozen=True)
class Work:
    """What an iteration consists of."""

    n_episodes: int = 256
    n_prompt: int = 256
    n_new: int = 64
    n_epochs: int = 4
    batch_size: int = 64

    @property
    def window(self) -> int:
        """Tokens of an episode."""
        return self.n_prompt + self.n_new


SMALL = Work(n_episodes=8, n_prompt=32, n_new=8, n_epochs=2, batch_size=4)


class _Clock(BaseCallback):
    """Notes when each step of a rollout was done, and when rollouts began and ended."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[list[float]] = []
        self.rollouts_s: list[float] = []
        self._began = 0.0

    def _on_rollout_start(self) -> None:
        self.steps.append([])
        self._began = time.perf_counter()

    def _on_step(self) -> bool:
        self.steps[-1].append(time.perf_counter())
        return True

    def _on_rollout_end(self) -> None:
        self.rollouts_s.append(time.perf_counter() - self._began)


def make_config(
    work: Work, model: str, rows: str, device: torch.device, **changes: Any
) -> TrainConfig:
    """Returns the configuration that does the work."""
    return train_config(
        {
            "id": "TextSummarize-v0",
            "model": model,
            "dataset": rows,
            "reward": "constant",
            "env": {"max_prompt_tokens": work.n_prompt, "max_new_tokens": work.n_new},
            "device": str(device),
            "n_episodes": work.n_episodes,
            "n_envs": work.n_episodes,
            "batch_size": work.batch_size,
            "n_epochs": work.n_epochs,
            "max_tokens_per_batch": work.batch_size * work.window,
            "learning_rate": 1e-6,
            "critic_warmup": 0,
            "bf16": True,
            "compile_layers": device.type == "cuda",
            **changes,
        }
    )


def measure_engine(config: TrainConfig, iterations: int, warmup: int) -> dict[str, float]:
    """Trains, and returns medians of seconds, and the peak of memory on a GPU."""
    arguments = environment_arguments(config.model, config.dataset, config.reward, config.env)
    device = pick_device(config.device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    agent = make_agent(config, arguments)
    agent.set_logger(Logger(None, []))
    clock, evaluations, totals = _Clock(), _time_evaluation(agent), []

    def after_iteration(metrics: Any) -> bool:
        totals.append(metrics["time/iteration_s"])
        return True

    agent.learn(
        total_episodes=(warmup + iterations) * config.n_episodes,
        callback=clock,
        after_iteration=after_iteration,
    )
    # The first step also reads the prompts; the last one ends and scores all episodes.
    steps = [[b - a for a, b in pairwise(s[:-1])] for s in clock.steps[warmup:]]
    rollout_s, evaluate_s, total_s = (
        statistics.median(times[warmup:]) for times in (clock.rollouts_s, evaluations, totals)
    )
    written = [int(episode.action_mask.sum()) for episode in agent.episodes]
    found = {
        "step": statistics.median([s for one in steps for s in one]),
        "rollout": rollout_s,
        "evaluate": evaluate_s,
        "learn": total_s - rollout_s - evaluate_s,
        "iteration": total_s,
        "tokens_written": statistics.mean(written),
    }
    if device.type == "cuda":
        found["peak_gib"] = torch.cuda.max_memory_allocated(device) / GIB
    found["weights_gib"] = _weights_bytes(agent) / GIB
    return found


def _time_evaluation(agent: TextPPO) -> list[float]:
    """Has the agent note how long each evaluation of a rollout takes; returns the list."""
    compute: Callable[[EpisodeBatch], Targets] = agent.compute_targets
    found: list[float] = []

    def timed(batch: EpisodeBatch) -> Targets:
        synchronize(agent.device)
        began = time.perf_counter()
        targets = compute(batch)
        synchronize(agent.device)
        found.append(time.perf_counter() - began)
        return targets

    agent.compute_targets = timed  # type: ignore[method-assign] # for the length of a measurement
    return found


def _weights_bytes(agent: TextPPO) -> int:
    storages = {
        p.untyped_storage().data_ptr(): p.untyped_storage() for p in agent.policy.parameters()
    }
    return sum(storage.nbytes() for storage in storages.values())


def measure_floor(work: Work, model: str, device: torch.device, repeats: int) -> Timings:
    """Returns the floors of the engine's figures of the same names, in seconds."""
    decode = decode_floor(model, device, work.n_episodes, work.n_prompt, work.n_new, repeats)
    _free(device)
    shape = (work.batch_size, work.window, work.n_new)
    # Compiling takes minutes on a CPU and needs a C++ compiler.
    learn = learning_floor(model, device, shape, repeats, compiled=device.type == "cuda")
    _free(device)
    n_minibatches = -(-work.n_episodes // work.batch_size)
    found = {
        "step": decode["step"],
        "rollout": decode["prefill"] + (work.n_new - 1) * decode["step"],
        # The old policy and the reference.
        "evaluate": 2 * n_minibatches * learn["evaluate"],
        "learn": work.n_epochs * n_minibatches * learn["learn"],
    }
    return found | {"iteration": found["rollout"] + found["evaluate"] + found["learn"]}


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def main(
    device: Annotated[str, typer.Option()] = "auto",
    iterations: Annotated[int, typer.Option(min=1, help="That count.")] = 5,
    warmup: Annotated[int, typer.Option(min=0, help="Iterations before, not counted.")] = 2,
    shape: Annotated[str, typer.Option(help=", ".join(SHAPES))] = "135m",
    small: Annotated[bool, typer.Option("--small", help="A tiny model, little work.")] = False,
    lora: Annotated[bool, typer.Option("--lora", help="Peak memory with LoRA.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Measure the engine on a GPU against its floors."""
    if shape not in SHAPES:
        raise typer.BadParameter(f"--shape is one of {', '.join(SHAPES)}.")
    chosen = pick_device(device)
    work, shape = (SMALL, "small") if small else (Work(), shape)
    with tempfile.TemporaryDirectory() as folder:
        model = save_shape(shape, Path(folder) / "model")
        rows = save_rows(Path(folder) / "rows.jsonl", 2 * work.n_prompt)
        if lora:
            changes: dict[str, Any] = {"lora": {"r": 16}, "n_epochs": 1}
            # Compiled layers would keep less than the plan counts.
            changes["compile_layers"] = False
            # The most memory is in the slots' keys and values and in what a pass keeps.
            changes["max_tokens_per_batch"] = 4 * work.window
            changes["n_envs"] = min(32, work.n_episodes)
            config = make_config(work, model, rows, chosen, **changes)
            engine = measure_engine(config, iterations, warmup)
            planned = count_memory(config).peak / GIB
            result = {"engine": engine, "planned_gib": planned}
            result["limit_gib"] = 1.6 * engine["weights_gib"] + 6
        else:
            floor = measure_floor(work, model, chosen, max(3, iterations))
            engine = measure_engine(make_config(work, model, rows, chosen), iterations, warmup)
            ratios = {name: engine[name] / seconds for name, seconds in floor.items()}
            result = {"engine": engine, "floor": floor, "ratio": ratios}
    is_cuda = chosen.type == "cuda"
    name = torch.cuda.get_device_name(chosen) if is_cuda else str(chosen)
    result |= {"device": name, "shape": shape, "work": vars(work), "versions": versions()}
    _print(Console(highlight=False), result)
    write_json(json_path, result)


def _print(console: Console, result: dict[str, Any]) -> None:
    engine = result["engine"]
    console.print(
        f"{result['shape']} on {result['device']}: {engine['tokens_written']:.1f} tokens a response"
    )
    if "floor" in result:
        table = make_table(None, "", "ms", "floor, ms", "ratio")
        for name, seconds in result["floor"].items():
            row = (1e3 * engine[name], 1e3 * seconds, result["ratio"][name])
            table.add_row(name, f"{row[0]:,.1f}", f"{row[1]:,.1f}", f"{row[2]:.2f}")
        console.print(table)
    else:
        console.print(f"iteration {engine['iteration']:.2f} s")
        console.print(
            f"weights {engine['weights_gib']:.2f} GiB, "
            f"planned peak {result['planned_gib']:.2f} GiB, "
            f"limit {result['limit_gib']:.2f} GiB"
        )
    if "peak_gib" in engine:
        console.print(f"peak {engine['peak_gib']:.2f} GiB")


if __name__ == "__main__":
    typer.run(main)
