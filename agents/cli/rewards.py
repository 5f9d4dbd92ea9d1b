"""The commands of `textenv rewards` that need a policy.

Slow imports are inside the commands.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.cli.arguments import Device, Seed
from agents.cli.audit import audit_reward
from agents.cli.bench import EPILOG, bench
from agents.cli.display import duration, interval, print_facts, print_folder
from agents.training.model_lookup import find_model, pick_device
from textenv.cli.arguments import AsJson, Dataset, EnvKeys, Id, Model, environment_keys
from textenv.cli.console import parse_spec, parse_specs, print_json
from textenv.cli.terminal import make_console
from textenv.errors import ConfigError
from textenv.registry import environment_row
from textenv.rewards import load_reward
from textenv.rewards.naming import name_rewards

if TYPE_CHECKING:
    from agents.reward_bench.best_of_n import Pool
    from textenv.benchmark.results import BestOfN
    from textenv.benchmark.statistics import Estimate

_SLOTS = 64  # episodes that are sampled at a time
_SAMPLES = 2  # prompts whose picks are printed
PICKS_NAME = "picks.jsonl"


def add_rewards_commands(group: typer.Typer) -> None:
    """Adds the commands to the group `textenv rewards`."""
    group.command("audit")(audit_reward)
    group.command(
        "best-of-n",
        epilog="The KL of the best of n to the policy is at most log n - (n - 1) / n nats; it is "
        "less where samples tie.\n\nKeys such as env.max_new_tokens=64 set any argument that "
        "'textenv show ID' lists.",
    )(best_of_n)
    group.command("bench", epilog=EPILOG)(bench)


def best_of_n(
    id: Id,
    overrides: EnvKeys = None,
    *,
    reward: Annotated[
        str, typer.Option(help="Reward that picks: a name, a path, or a mapping as YAML.")
    ],
    gold: Annotated[
        list[str],
        typer.Option(
            help="Rewards that judge the picks: 'a,b', or the option given several times."
        ),
    ],
    model: Model = None,
    pool: Annotated[int, typer.Option(min=2, help="Samples of each prompt.")] = 64,
    prompts: Annotated[int, typer.Option(min=1, help="Number of prompts, from the first.")] = 128,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    temperature: Annotated[
        float | None, typer.Option(help="Sampling temperature.", show_default="the model's own")
    ] = None,
    dataset: Dataset = None,
    seed: Seed = None,
    device: Device = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the report, its data and the picks.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """See what picking the best of n samples by a reward does to other metrics.

    This needs no training, and is the quickest way to see whether a reward can be hacked. Scores
    are expectations over all subsets of the pool, with 95 % intervals over prompts.
    """
    environment_row(id)
    specs = name_rewards([parse_spec(reward), *parse_specs(gold)])
    rewards = {name: load_reward(spec) for name, spec in specs.items()}
    if len(rewards) < 2:
        raise ConfigError("Name a --gold metric that differs from --reward, to judge the picks.")
    env = environment_keys(overrides or ())
    found, policy_arguments = find_model(model or "embedded")
    if temperature is not None:
        policy_arguments["temperature"] = temperature
    chosen = pick_device(device or "auto")

    import torch

    from agents.reward_bench.best_of_n import (
        pay_nothing,
        sample_pool,
        score_pool,
        write_picks,
    )
    from agents.training.held_out import load_policy
    from textenv.benchmark.report import write_report
    from textenv.cli.progress import track
    from textenv.output_paths import check_new_folder
    from textenv.preflight import try_rewards
    from textenv.vector import environment_arguments, make_core

    if out is not None:
        check_new_folder(out)
    arguments = environment_arguments(found, parse_spec(dataset), pay_nothing, env)
    core = make_core(id, _SLOTS, arguments)
    n_prompts = min(prompts, len(core.dataset(split)))
    try_rewards(rewards, core, split)
    policy = load_policy(found, core, chosen, **policy_arguments)
    torch.manual_seed(seed or 0)
    started_at = time.perf_counter()
    with track("Sampling", n_prompts * pool) as report:
        episodes = sample_pool(policy, core, split, n_prompts, pool, report)
    sampled_at = time.perf_counter()
    with track("Scoring", len(rewards)) as report:
        scored = score_pool(next(iter(rewards)), rewards, episodes, pool, report)
    record, gains = scored.curves(seed or 0), scored.gains(seed or 0)
    times = {"sampling_s": sampled_at - started_at, "scoring_s": time.perf_counter() - sampled_at}
    if out is not None:
        write_report(record, out)
        write_picks(scored, core, out / PICKS_NAME)
    facts: dict[str, object] = {
        "id": id,
        "model": found,
        "temperature": policy.options.temperature,
        "split": split,
    }
    if as_json:
        plain = {name: gain.to_json() for name, gain in gains.items()}
        print_json(facts | {"seed": seed or 0} | asdict(record) | {"gains": plain} | times)
        return
    console = make_console()
    spent = f"sampling {duration(times['sampling_s'])}, scoring {duration(times['scoring_s'])}"
    more = {"samples": f"{pool} of each of {n_prompts} prompts", "time": spent}
    print_facts(console, f"The best of n by {record.proxy}", facts | more)
    print_curves(console, record)
    print_gains(console, record, gains)
    print_picks(console, scored)
    if out is not None:
        print_folder(console, out, f"report.html to look at, {PICKS_NAME} with a pick a prompt")


def print_curves(console: Console, record: BestOfN) -> None:
    """Prints a line for each n: the bound on its KL, and each metric with its interval."""
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("KL at most", justify="right")
    for name in record.curves:
        table.add_column(Text(f"{name} [95 %]"))
    for row, (n, bound) in enumerate(zip(record.n, record.kl_bound, strict=True)):
        curves = record.curves.values()
        cells = [interval(curve[row].to_json(), between="\n") for curve in curves]
        table.add_row(str(n), f"{bound:.2f}", *map(Text, cells))
    console.print(table)


def print_gains(console: Console, record: BestOfN, gains: dict[str, Estimate]) -> None:
    """Prints each metric's change at the largest n, and the n at which it was highest."""
    words = {}
    for name, gain in gains.items():
        low, high = gain.ci95
        moved = "rises" if low > 0 else "falls" if high < 0 else "no clear change"
        words[name] = f"{interval(gain.to_json(), signed=True)}, {moved}"
        means = [estimate.mean for estimate in record.curves[name]]
        if max(means) > means[-1]:
            words[name] += f"; highest at n = {record.n[means.index(max(means))]}"
    console.print()
    print_facts(console, f"The best of {record.pool} against a single sample", words)


def print_picks(console: Console, pool: Pool) -> None:
    """Prints the proxy's picks for the first prompts, and a sample for comparison."""
    for first, best in pool.picks()[:_SAMPLES]:
        example = pool.episodes[first].example
        console.print()
        console.print(Text(f"Sample {example.id}", style="bold"))
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("  reference", Text(example.references[0]))
        for label, place in (("first", first), ("picked", best)):
            scores = "  ".join(f"{name} {x:.3f}" for name, x in pool.scores_of(place).items())
            response = pool.episodes[place].response or "(nothing)"
            table.add_row(f"  {label}", Text.assemble(response, "\n", (scores, "dim")))
        console.print(table)
