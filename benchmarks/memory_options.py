"""What each option of `LMPolicy` saves, as `textenv plan` counts it: the table of docs/memory.md.

    python -m benchmarks.memory_options [--shape 135m]

Prompts of 256 and answers of 64 tokens, passes of 8192 tokens, float32. Nothing is trained, and no
weights are computed with; each row takes about half a minute.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from agents.memory.use import MemoryUse, count_memory
from agents.training.config import load_config
from benchmarks.shapes import SHAPES, save_rows, save_shape

_MIB = 2**20
OPTIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("gradient_checkpointing=true",),
    ("lora.r=16",),
    ("lora.r=16", "gradient_checkpointing=true"),
    ("bf16=true",),
    ("frozen_layers=20",),
    ("lora.r=16", "frozen_layers=20"),
    ("separate_critic=true",),
    ("lora.r=16", "separate_critic=true"),
    ("frozen_layers=20", "separate_critic=true"),
)
_COLUMNS = (
    *("weights", "critic", "reference", "gradients", "optimizer", "activations"),
    "peak of an update",
)


def count(model: str, rows: str, options: tuple[str, ...]) -> MemoryUse:
    """Plans a run with these options."""
    sizes = (
        *("env.max_prompt_tokens=256", "env.max_new_tokens=64", "max_tokens_per_batch=8192"),
        *("n_episodes=64", "n_envs=64", "batch_size=64"),
    )
    given = {"id": "TextSummarize-v0", "device": "cpu", "reward": "constant", "dataset": rows}
    return count_memory(load_config(None, (*sizes, *options), model=model, **given))


def main(
    shape: Annotated[str, typer.Option(help=", ".join(SHAPES))] = "135m",
) -> None:
    """Print what a run holds with each option, in MiB."""
    if shape not in SHAPES:
        raise typer.BadParameter(f"--shape is one of {', '.join(SHAPES)}.")
    console = Console(highlight=False, soft_wrap=True)
    lines = [f"| options | {' | '.join(_COLUMNS)} |", "|---|" + "--:|" * len(_COLUMNS)]
    with tempfile.TemporaryDirectory() as folder:
        model, rows = save_shape(shape, Path(folder) / "model"), Path(folder) / "rows.jsonl"
        texts = save_rows(rows, 512)
        for options in track(OPTIONS, "Counting", console=Console(stderr=True)):
            use = count(model, texts, options)
            found = (
                *(use.weights, use.critic, use.reference, use.gradients, use.optimizer),
                *(use.saved.total, use.update_peak),
            )
            name = f"`{' '.join(options)}`" if options else "none"
            lines.append(f"| {name} | {' | '.join(f'{n / _MIB:.0f}' for n in found)} |")
    console.print("\n".join(lines), markup=False)


if __name__ == "__main__":
    typer.run(main)
