"""The command `textenv plan`: the memory that a training run needs, before it is started."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from agents.cli.arguments import Dataset, Device, Model, RewardText, find_model, pick_device
from agents.cli.display import print_facts
from agents.training.config import load_config
from textenv.cli.catalog import Id
from textenv.cli.console import parse_spec, print_json
from textenv.registry import environment_row

if TYPE_CHECKING:
    from agents.memory.plan import MemoryPlan
    from agents.training.config import TrainConfig

GIB = 2**30


def add_plan_command(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(
        "plan",
        epilog="Keys are those of 'textenv train'. The plan assumes episodes as long as the "
        "environment allows. It runs the engine on tensors without memory and counts their bytes. "
        "Weights are not read: config.json and the tokenizer are enough.",
    )(plan)


def plan(
    id: Id,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Keys of textenv train.")
    ] = None,
    model: Model = None,
    dataset: Dataset = None,
    reward: RewardText = None,
    config: Annotated[Path | None, typer.Option(help="A YAML file of keys.")] = None,
    device: Device = None,
    memory_gib: Annotated[
        float | None, typer.Option(min=0, help="Memory of another device, in GiB.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Show how much memory a training run needs, and the largest settings that fit."""
    settings = load_config(
        config,
        overrides or (),
        id=id,
        model=model,
        dataset=parse_spec(dataset),
        reward=parse_spec(reward),
        device=device,
    )
    environment_row(settings.id)
    settings = settings.model_copy(update={"model": find_model(settings.model)[0]})

    from agents.memory.plan import device_memory_bytes, make_plan
    from textenv.cli.progress import track

    if memory_gib is None:
        chosen = pick_device(settings.device)
        where, memory = str(chosen), device_memory_bytes(chosen)
    else:
        where, memory = "a device", int(memory_gib * GIB)
    with track("Counting bytes", 1) as report:
        found = make_plan(settings, memory, report)
    if as_json:
        print_json(asdict(found) | {"peak": found.use.peak, "fits": found.fits})
    else:
        _print(Console(highlight=False), settings, found, where)


def _print(console: Console, config: TrainConfig, plan: MemoryPlan, device: str) -> None:
    use = plan.use
    facts = {
        "model": config.model,
        "parameters": f"{use.trainable:,} learn, {use.frozen:,} do not",
        "episodes": f"{use.window} tokens, of which the agent writes {use.written}",
        "device": f"{device} of {_gib(plan.memory_bytes)}, "
        f"of which a run can fill {_gib(plan.usable_bytes)}",
    }
    for name in ("weights", "critic", "reference", "gradients", "optimizer", "cache"):
        facts[name] = _gib(getattr(use, name))
    facts["activations"] = (
        f"{_gib(use.saved)} kept for the backward pass of {use.rows} episodes, "
        f"{_gib(use.checkpointed_saved)} with gradient_checkpointing"
    )
    for name in ("rollout", "evaluation", "update"):
        facts[name] = f"{_gib(getattr(use, f'{name}_peak'))} at its peak"
    print_facts(console, f"Memory of a training on {config.id}", facts)
    if not plan.fits:
        console.print(Text(f"\nIt does not fit: {_advice(config)}.", style="bold red"))
    largest = {
        "max_tokens_per_batch": f"{plan.max_tokens_per_batch} with n_envs={config.n_envs}",
        "n_envs": f"{plan.n_envs} with max_tokens_per_batch={config.max_tokens_per_batch}",
    }
    print_facts(console, "\nThe largest that fit", largest)


def _advice(config: TrainConfig) -> str:
    """Returns options that save memory and are not used yet."""
    ways = {
        "gradient_checkpointing=true": config.gradient_checkpointing,
        "bf16=true": config.bf16,
        "lora.r=16": config.lora is not None,
        "separate_critic=false": not config.separate_critic,
    }
    further = [way for way, is_used in ways.items() if not is_used]
    return ", ".join(["try a smaller max_tokens_per_batch", "fewer n_envs", *further])


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / GIB:.3f} GiB"
