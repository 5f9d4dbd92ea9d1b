"""What `textenv plan` says that a run needs, beside what the run then uses.

    python -m benchmarks.plan [--device cuda] [--json out.json]

Each case is a real training of two iterations in a process of its own, on a random model of a known
shape, with prompts that fill their window: see `benchmarks.memory_used`. On a CPU the cases are
small. The embedded model draws at a temperature at which it hardly ever ends a turn by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from agents.cli.arguments import pick_device
from agents.memory.use import count_memory
from agents.training.config import TrainConfig, load_config, write_config
from agents.training.run import versions
from benchmarks.shapes import save_rows, save_shape

_MIB = 2**20
_LORA = "lora.r=16"
_CHECKPOINTED = "gradient_checkpointing=true"
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
CPU_SIZES: tuple[str, ...] = (
    *("n_episodes=16", "n_envs=16", "batch_size=16", "max_tokens_per_batch=1024"),
    *("env.max_prompt_tokens=96", "env.max_new_tokens=32"),
)
EMBEDDED_SIZES: tuple[str, ...] = (
    *("n_episodes=64", "n_envs=64", "batch_size=64", "max_tokens_per_batch=8192"),
    *("env.max_prompt_tokens=64", "env.max_new_tokens=32", "temperature=4"),
)
CUDA_SIZES: tuple[str, ...] = (
    *("n_episodes=128", "n_envs=128", "batch_size=64", "max_tokens_per_batch=10240"),
    *("env.max_prompt_tokens=256", "env.max_new_tokens=64"),
)


def make_config(
    shape: str, changes: tuple[str, ...], folder: Path, device: torch.device
) -> TrainConfig:
    """Returns the configuration of a case; its model is written to the folder, once."""
    sizes = CUDA_SIZES if device.type == "cuda" else CPU_SIZES
    given: dict[str, Any] = {"id": "TextSummarize-v0", "device": str(device), "reward": "constant"}
    if shape == "embedded":
        return load_config(None, (*EMBEDDED_SIZES, *changes), model=shape, **given)
    model = folder / shape
    if not model.exists():
        save_shape(shape, model)
    given["dataset"] = save_rows(folder / "rows.jsonl", 512)
    return load_config(None, (*sizes, *changes), model=str(model), **given)


def measure_used(config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Runs the training in a process of its own; returns what it used."""
    path = folder / "config.yaml"
    write_config(config, path)
    # Freed memory goes back to the system at once, or it would count as used.
    threshold = str(128 * 1024)
    environment = os.environ | {
        "MALLOC_MMAP_THRESHOLD_": threshold,
        "MALLOC_TRIM_THRESHOLD_": threshold,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory_used", str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(
    device: Annotated[str, typer.Option()] = "cpu",
    only: Annotated[list[str] | None, typer.Option(help="Shapes; all if none is named.")] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here.")
    ] = None,
) -> None:
    """Compare plans with the runs that follow."""
    chosen = pick_device(device)
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("case", "planned, MiB", "used, MiB", "planned / used"):
        table.add_column(column, justify="left" if column == "case" else "right")
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for shape, changes in CASES:
            if only and shape not in only:
                continue
            config = make_config(shape, changes, folder, chosen)
            plan, used = count_memory(config), measure_used(config, folder)
            results.append(
                {
                    "shape": shape,
                    "changes": changes,
                    "planned": {
                        "rollout": plan.rollout_peak,
                        "update": max(plan.evaluation_peak, plan.update_peak),
                        "peak": plan.peak,
                    },
                    "used": used,
                    "ratio": plan.peak / used["peak"],
                }
            )
            label = " ".join((shape, *changes))
            row = (plan.peak / _MIB, used["peak"] / _MIB, plan.peak / used["peak"])
            table.add_row(label, f"{row[0]:,.0f}", f"{row[1]:,.0f}", f"{row[2]:.2f}")
            console.print(f"{label}: {row[0]:,.0f} planned, {row[1]:,.0f} MiB used")
    console.print()
    console.print(table)
    if json_path is not None:
        data = {"device": str(chosen), "cases": results, "versions": versions()}
        json_path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
