"""The command that says how much memory a training run needs, before it is started."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from agents.cli.arguments import Device
from agents.cli.display import print_facts
from agents.training.config import load_config
from agents.training.model_lookup import find_model, pick_device
from textenv.cli.arguments import Dataset, Id, Model, RewardText
from textenv.cli.console import parse_spec, print_json
from textenv.cli.terminal import make_console
from textenv.registry import environment_row

GIB = 2**30
_ADVICE = (
    "What makes a run smaller: fewer n_envs, a smaller max_tokens_per_batch, "
    "gradient_checkpointing=true, bf16=true, lora.r=16."
)
_COUNTS = ("trainable", "frozen", "rows", "window", "written")


def plan(
    id: Id,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Configuration, as for train.")
    ] = None,
    model: Model = None,
    dataset: Dataset = None,
    reward: RewardText = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file of keys.")] = None,
    device: Device = None,
    memory_gib: Annotated[
        float | None, typer.Option(min=0, help="Memory of a device that is not at hand.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say how much memory a training run needs, and the largest settings that fit.

    Episodes are taken to be as long as the environment allows. Weights are not read: config.json
    and the tokenizer are enough.
    """
    data, paid = parse_spec(dataset), parse_spec(reward)
    given = {"id": id, "model": model, "dataset": data, "reward": paid, "device": device}
    settings = load_config(config, overrides or (), **given)
    environment_row(settings.id)
    settings = settings.model_copy(update={"model": find_model(settings.model)[0]})

    from agents.memory.plan import count_memory, device_memory_bytes, find_largest, usable_bytes

    if memory_gib is None:
        memory = device_memory_bytes(pick_device(settings.device))
    else:
        memory = int(memory_gib * GIB)
    usable = usable_bytes(memory)
    with make_console(stderr=True).status("Counting bytes"):
        use = count_memory(settings)
    largest = find_largest(use, settings, usable)
    fits = use.peak <= usable
    sizes = {"memory": memory, "usable": usable, "peak": use.peak}
    if as_json:
        print_json({**sizes, "fits": fits, "use": asdict(use), "largest": largest})
        return
    console = make_console()
    sizes |= asdict(use)
    facts = {name: f"{sizes.pop(name):,}" for name in _COUNTS}
    facts |= {name.replace("_", " "): f"{n / GIB:.3f} GiB" for name, n in sizes.items()}
    print_facts(console, f"Memory of a training on {settings.id}", facts)
    print_facts(console, "\nThe largest that fit, each with all else as configured", largest)
    if not fits:
        console.print(Text(f"\nIt does not fit. {_ADVICE}", style="bold red"))
