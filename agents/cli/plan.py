"""The command that says what a training run needs of a device, before it is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
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
        epilog="Keys are those of 'textenv train'. Episodes are taken to be as long as the "
        "environment allows. Bytes are counted by running the engine without its weights, which "
        "are not read: config.json and the tokenizer are enough.",
    )(plan)


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
        float | None, typer.Option(min=0, help="Of a device that is not at hand.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say how much memory a training run needs, and the largest settings that fit."""
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
        print_json(found.to_json())
        return
    _print(Console(highlight=False), settings, found, f"{where} of {_gib(memory)}")


def _print(console: Console, config: TrainConfig, plan: MemoryPlan, device: str) -> None:
    use = plan.use
    facts = {
        "model": config.model,
        "parameters": f"{use.trainable:,} learn, {use.frozen:,} do not",
        "episodes": f"{use.shape.window} tokens, of which the agent writes {use.shape.written}",
        "device": f"{device}, of which a run can fill {_gib(plan.usable_bytes)}",
    }
    print_facts(console, f"Memory of a training on {config.id}", facts)
    slots = f"keys and values of {use.n_slots} slots"
    passed = f"{use.rows} episode{'s' if use.rows > 1 else ''} in a pass"
    _print_table(
        console,
        "held",
        [
            ("weights", use.weights),
            ("critic", use.critic),
            ("reference", use.reference),
            ("gradients", use.gradients),
            ("optimizer", use.optimizer),
            (slots, use.cache),
        ],
    )
    other = "without" if config.gradient_checkpointing else "with"
    other_saved = plan.plain_saved if config.gradient_checkpointing else plan.checkpointed_saved
    _print_table(
        console,
        f"kept for the backward pass, {passed}",
        [
            ("attention", use.saved.attention),
            ("all else", use.saved.rest),
            (f"in all {other} gradient_checkpointing", other_saved),
            ("logits and their gradient", use.logits),
        ],
    )
    _print_table(
        console,
        "peak",
        [
            ("rollout", use.rollout_peak),
            ("old and reference log-probs", use.evaluation_peak),
            ("update", use.update_peak),
        ],
    )
    console.print()
    if not plan.fits:
        console.print(Text(f"It does not fit: {_advice(config)}.", style="bold red"))
    fits = {
        "max_tokens_per_batch": _largest(plan.max_tokens_per_batch, config.n_envs, "n_envs"),
        "n_envs": _largest(plan.n_envs, config.max_tokens_per_batch, "max_tokens_per_batch"),
    }
    print_facts(console, "The largest that fit", fits)


def _largest(found: int, kept: int, name: str) -> str:
    return f"{found} with {name}={kept}" if found else f"none with {name}={kept}"


def _advice(config: TrainConfig) -> str:
    """Returns what saves memory and is not yet used."""
    ways = {
        "a smaller max_tokens_per_batch": config.max_tokens_per_batch > 1,
        "fewer n_envs": config.n_envs > 1,
        "gradient_checkpointing=true": not config.gradient_checkpointing,
        "bf16=true": not config.bf16,
        "lora.r=16": config.lora is None,
        "separate_critic=false": config.separate_critic,
    }
    return "try " + ", ".join(way for way, is_open in ways.items() if is_open)


def _print_table(console: Console, title: str, rows: list[tuple[str, int]]) -> None:
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="bold")
    table.add_column(title, min_width=44)
    table.add_column("GiB", justify="right", min_width=8)
    for name, n_bytes in rows:
        table.add_row(Text(name), f"{n_bytes / GIB:.3f}")
    console.print(table)


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / GIB:.1f} GiB"
