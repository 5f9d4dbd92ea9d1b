"""The command `rollouts`: several answers to each example, with their rewards, in a file.

Slow imports are inside the command.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from agents.cli.arguments import AllowCode, Device, Seed
from agents.cli.display import duration, interval, print_facts, spec_text
from agents.cli.environments import choose_environments
from agents.models.options import policy_options
from textenv.cli.arguments import Dataset, Model, RewardText, environment_keys
from textenv.cli.console import parse_spec, print_error, print_json
from textenv.cli.overrides import check_given_once
from textenv.cli.terminal import make_console
from textenv.errors import ConfigError, ExitCode
from textenv.registry import environment_row

_SLOTS = 64  # episodes that are played at a time


def rollouts(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID env.KEY=VALUE",
            help="Environment id, by default that of the run; arguments of the environment.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE.jsonl",
            help="New file, a row an answer; FILE.json beside it tells how it was made.",
        ),
    ] = ...,  # type: ignore[assignment] # typer's mark of an option that must be given
    model: Model = None,
    samples: Annotated[
        int, typer.Option("--samples", "--n", min=1, help="Answers to each example.")
    ] = 8,
    temperature: Annotated[
        float | None,
        typer.Option(help="Temperature of sampled tokens.", show_default="that of the training"),
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    examples: Annotated[int, typer.Option(min=1, help="Number of examples, from the first.")] = 256,
    dataset: Dataset = None,
    reward: RewardText = None,
    seed: Seed = None,
    device: Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what FILE.json holds.")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Sample several answers to each example, and write them with their rewards.

    'textenv export' makes training files of them, and 'textenv rewards score' scores them by
    another reward. The folder of a run as --model brings the run's own environment, data set and
    reward.

    Ctrl-C keeps the rows so far in FILE.jsonl.partial; the same command then goes on, and comes to
    the same file.
    """
    from agents.training.rollouts import RolloutSettings, check_rollout_file, collect_rollouts

    check_rollout_file(out)
    given = list(words or ())
    named = given.pop(0) if given and "=" not in given[0] else None
    ids, setting = choose_environments([named] if named else [], model, allow_code)
    if len(ids) > 1:
        raise ConfigError(f"The run was trained in {', '.join(ids)}: name one of them.")
    id = ids[0]
    environment_row(id)
    env, data, paid = environment_keys(given), parse_spec(dataset), parse_spec(reward)
    check_given_once(env, dataset=data, reward=paid)
    if setting is not None:
        data = setting.dataset if data is None and "dataset" not in env else data
        paid = setting.reward if paid is None and "reward" not in env else paid
        env = {**setting.env, **env}
    from agents.training.model_lookup import find_model, pick_device

    found, policy_arguments = find_model(model or "embedded")
    chosen = pick_device(device or "auto")
    if temperature is not None:
        policy_arguments["temperature"] = temperature
    acting = policy_options({"model": found, **policy_arguments})

    from agents.training.held_out import load_policy
    from agents.training.preflight import find_before_loading, tell
    from textenv.cli.progress import track
    from textenv.preflight import try_rewards
    from textenv.rewards.base import name_of
    from textenv.vector import environment_arguments, make_core

    arguments = environment_arguments(found, data, paid, env)
    core = make_core(id, _SLOTS, arguments)
    try_rewards({name_of(core.reward): core.reward}, core, split)
    tell(find_before_loading(core, found, [split]))
    row = environment_row(id).make_kwargs()
    settings = RolloutSettings(
        id=id,
        model=found,
        dataset=arguments.get("dataset", row.get("dataset")),
        reward=arguments.get("reward", row.get("reward")),
        env=env,
        split=split,
        examples=min(examples, len(core.dataset(split))),
        samples=samples,
        temperature=acting.temperature,
        seed=seed or 0,
    )
    console = make_console(quiet=as_json)
    facts = {
        "model": found,
        "dataset": spec_text(settings.dataset),
        "reward": spec_text(settings.reward),
        "examples": f"{settings.examples} of {split}",
        "samples": f"{samples} of each example at temperature {settings.temperature:g}",
        "device": chosen,
    }
    print_facts(console, f"Rollouts of {id}", facts)
    policy = load_policy(found, core, chosen, **policy_arguments)
    try:
        with track("Sampling", settings.examples * samples) as report:
            header = collect_rollouts(policy, core, settings, out, report)
    except KeyboardInterrupt as error:
        print_error(f"Stopped. Rows so far are in {out}.partial; the same command goes on.")
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    if as_json:
        print_json(header)
        return
    _print_header(console, header, out)


def _print_header(console: Console, header: Mapping[str, Any], out: Path) -> None:
    earned = {
        "one answer" if n == "1" else f"best of {n}": interval(estimate)
        for n, estimate in header["best_of_n"].items()
    }
    facts = {"reward [95 %]": ""} | {f"  {name}": text for name, text in earned.items()}
    if header["tied"] is not None and header["samples"] > 1:
        facts["all alike"] = f"{header['tied']:.0%} of the examples: nothing to choose from"
    facts["cut off"] = f"{header['cut']:.0%} of the answers, by max_new_tokens"
    if header["unscored"]:
        facts["unscored"] = f"{header['unscored']} answers: the reward gave no score"
    facts["in all"] = f"{header['episodes']} answers, {duration(header['wall_s'])}"
    print_facts(console, "Result", facts)
    console.print(f"\nWritten to {out}. To train on them:", markup=False)
    console.print(f"  textenv export sft {out} --out best.jsonl", markup=False)
