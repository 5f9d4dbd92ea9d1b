"""The command `evaluate`: an agent, measured on held-out examples.

Slow imports are inside the command.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.cli.arguments import AllowCode, Device, Seed, find_model, pick_device
from agents.cli.display import print_answers, print_evaluation, print_facts, spec_text
from agents.models.options import policy_options
from textenv.cli.arguments import Dataset, Model, RewardText, environment_keys
from textenv.cli.console import parse_spec, print_findings, print_json
from textenv.cli.overrides import check_given_once
from textenv.cli.terminal import make_console
from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.model_folders import describe_missing
from textenv.output_paths import check_file
from textenv.registry import environment_row

if TYPE_CHECKING:
    import torch

    from agents.training.evaluation import Evaluation
    from agents.training.run_folder import Setting
    from textenv.episode import TextCore

AGENTS = {
    "greedy": "the model's most likely tokens",
    "sample": "tokens drawn from the model",
    "first_sentence": "the greedy answer, cut to its first sentence",
    "random": "tokens drawn uniformly",
    "lead": "the first sentence of the source text",
    "gold": "the ideal answer",
}
_NEED_MODEL = ("greedy", "sample", "first_sentence")
_DRAW = ("sample", "random")  # whose answers differ from one time to the next
_SLOTS = 64  # episodes that are played at a time
_SHOWN = 3  # answers that are printed


def evaluate(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID env.KEY=VALUE",
            help="Environment id, by default that of the run; arguments of the environment.",
        ),
    ] = None,
    model: Model = None,
    agent: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(AGENTS)}; see below.",
            show_default="greedy; sample with --samples or --temperature",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Answers to each example.")] = 1,
    temperature: Annotated[
        float | None,
        typer.Option(help="Temperature of sampled tokens.", show_default="that of the training"),
    ] = None,
    pass_at: Annotated[
        str | None,
        typer.Option(
            metavar="K,K",
            help="Chances that one of K answers passes, such as 1,8; for --samples of K or more.",
        ),
    ] = None,
    pass_reward: Annotated[
        float, typer.Option(help="Reward from which on an answer passes.")
    ] = 1.0,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    examples: Annotated[int, typer.Option(min=1, help="Number of examples, from the first.")] = 256,
    dataset: Dataset = None,
    reward: RewardText = None,
    seed: Seed = None,
    device: Device = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json",
            help="File for the result; FILE.jsonl beside it gets a row an answer.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    allow_code: AllowCode = False,
) -> None:
    """Measure an agent on held-out examples.

    The folder of a run as --model brings the run's own environment, data set and reward. It stands
    for the last agent; FOLDER/best stands for the best one.
    """
    if out is not None and out.suffix != ".json":
        raise ConfigError(f"Name a file for --out that ends in .json, not '{out}'.")
    for path in (out, out.with_suffix(".jsonl")) if out else ():
        check_file(path)
    given = list(words or ())
    named = given.pop(0) if given and "=" not in given[0] else None
    if not math.isfinite(pass_reward):
        raise ConfigError(f"--pass-reward {pass_reward}: give a number, such as 0.5.")
    drawing = Drawing(samples, temperature, _read_sizes(pass_at, samples), pass_reward)
    agent = _choose_agent(agent, drawing)
    id, setting = _evaluated(named, model, allow_code)
    environment_row(id)
    env, data, paid = environment_keys(given), parse_spec(dataset), parse_spec(reward)
    check_given_once(env, dataset=data, reward=paid)
    whose = {
        name: value is not None or name in env
        for name, value in (("dataset", data), ("reward", paid))
    }
    if setting is not None:
        env = {**setting.env, **env}
        data = setting.dataset if not whose["dataset"] else data
        paid = setting.reward if not whose["reward"] else paid
    found, policy_arguments = find_model(model or "embedded")
    chosen = pick_device(device or "auto")

    from agents.training.evaluation import question
    from agents.training.preflight import (
        find_before_loading,
        find_in_answers,
        warm_start_command,
    )
    from agents.training.run_folder import write_rows
    from textenv.preflight import find_misfits, measure_scale, try_rewards
    from textenv.rewards.base import name_of
    from textenv.storage.whole_files import write_whole
    from textenv.vector import environment_arguments, make_core

    arguments = environment_arguments(found, data, paid, env)
    try:
        core = make_core(id, _SLOTS, arguments)
    except (ConfigError, DatasetError) as error:
        if setting is None:
            raise
        raise type(error)(
            f"{error} This is what the run was trained on, named from the folder where textenv "
            "train was called. Call this there, too, or give --dataset and --reward."
        ) from error
    needs_model = agent in _NEED_MODEL
    try_rewards({name_of(core.reward): core.reward}, core, split)
    findings = (
        find_before_loading(core, found, [split]) if needs_model else find_misfits(core, [split])
    )
    if temperature is not None:
        policy_arguments["temperature"] = temperature
    acting = policy_options({"model": found, **policy_arguments})
    evaluation = _evaluate_agent(
        agent, core, split, examples, seed or 0, found, policy_arguments, chosen, samples
    )
    if needs_model:
        scale = measure_scale(core, [episode.example for episode in evaluation.episodes])
        warm_start = warm_start_command(id, found, data, env)
        findings += find_in_answers(evaluation, core, scale, warm_start)
    row = environment_row(id).make_kwargs()
    result = {
        "id": id,
        "agent": agent,
        "model": found if needs_model else None,
        "dataset": arguments.get("dataset", row.get("dataset")),
        "reward_spec": arguments.get("reward", row.get("reward")),
        "split": split,
        "seed": seed or 0,
        "temperature": acting.temperature if agent == "sample" else None,
        "findings": findings,
        **evaluation.summary(),
    }
    if drawing.sizes:
        found_at = evaluation.pass_at(drawing.sizes, pass_reward)
        result["pass_reward"] = pass_reward
        result["pass_at"] = {str(k): estimate.to_json() for k, estimate in found_at.items()}
    rows = [
        question(core, episode.example) | {"sample": i % samples} | evaluation.answer(i)
        for i, episode in enumerate(evaluation.episodes)
    ]
    replaced = out is not None and out.exists()
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, json.dumps(result, indent=2, ensure_ascii=False))
        write_rows(out.with_suffix(".jsonl"), rows)
    if as_json:
        print_json(result)
        return
    console = make_console()
    source = {
        key: "given" if is_given else "the run's" if setting else "the environment's"
        for key, is_given in whose.items()
    }
    facts = {
        "agent": f"{agent}, {found}{_whose(model)}" if needs_model else agent,
        "dataset": f"{spec_text(result['dataset'])} ({source['dataset']})",
        "reward": f"{spec_text(result['reward_spec'])} ({source['reward']})",
        "examples": f"{result['examples']} of {split}",
    }
    if agent in _DRAW:
        at = "" if result["temperature"] is None else f" at temperature {result['temperature']:g}"
        facts["samples"] = f"{samples} of each example{at}"
    if drawing.sizes:
        facts["passes"] = f"reward of {pass_reward:g} or more"
    print_facts(console, id, facts)
    console.print()
    print_findings(console, findings)
    print_evaluation(console, "", result)
    print_answers(console, rows[: _SHOWN * samples : samples])
    if out is not None:
        beside = out.with_suffix(".jsonl")
        was = " The files of before were replaced." if replaced else ""
        console.print(f"\nWritten to {out}, and a row an answer to {beside}.{was}", markup=False)


@dataclass(frozen=True)
class Drawing:
    """What is asked for of answers that are drawn."""

    samples: int  # answers to each example
    temperature: float | None  # None for the run's own
    sizes: tuple[int, ...]  # each k of pass@k
    pass_reward: float  # reward from which on an answer passes


def _read_sizes(text: str | None, samples: int) -> tuple[int, ...]:
    """Reads each k of pass@k, for which there must be samples enough."""
    try:
        sizes = tuple(int(word) for word in (text or "").split(",") if word.strip())
    except ValueError:
        sizes = (0,)
    if min(sizes, default=1) < 1 or (text is not None and not sizes):
        raise ConfigError(f"--pass-at {text}: name numbers of answers from 1 up, such as 1,8.")
    if max(sizes, default=1) > samples:
        raise ConfigError(
            f"pass@{max(sizes)} needs as many answers to each example: give --samples {max(sizes)}."
        )
    return tuple(dict.fromkeys(sizes))


def _choose_agent(name: str | None, drawing: Drawing) -> str:
    """Returns the agent that is asked for: one that draws, where drawing is."""
    drawn = drawing.samples > 1 or drawing.temperature is not None
    if name is None:
        return "sample" if drawn else "greedy"
    if name not in AGENTS:
        raise UnknownNameError("agent", name, AGENTS)
    if drawing.samples > 1 and name not in _DRAW:
        raise ConfigError(
            f"The agent '{name}' gives the same answer each time: leave out --samples, or give "
            "--agent sample."
        )
    if drawing.temperature is not None and name != "sample":
        raise ConfigError(f"--temperature is for --agent sample, not for '{name}'.")
    return name


def _whose(model: str | None) -> str:
    """Says which agent a run's folder stands for, where it has two."""
    from agents.training.looks import BEST

    folder = Path(model or "")
    has_best = model is not None and (folder / BEST / "model").is_dir()
    return f" (the last agent; the best is {folder / BEST})" if has_best else ""


def _evaluated(
    named: str | None, model: str | None, allow_code: bool
) -> tuple[str, Setting | None]:
    """Returns the environment to evaluate in, and the setting of the run if it is the run's own."""
    from agents.training.run_folder import read_setting

    setting = None if model is None else read_setting(Path(model), allow_code)
    if setting is None:
        if named is None and model is not None and not Path(model).exists():
            near = describe_missing(model) or f"There is no run '{model}'."
            raise ConfigError(f"{near} For a model that is no run, name an environment, too.")
        if named is None:
            raise ConfigError(
                "Name an environment ('textenv list' shows them), or give the folder of a run as "
                "--model."
            )
        return named, None
    if named is None and len(setting.ids) > 1:
        raise ConfigError(f"The run has several environments; name one: {', '.join(setting.ids)}.")
    id = named or setting.ids[0]
    return id, setting if id in setting.ids else None


def _evaluate_agent(
    agent: str,
    core: TextCore,
    split: str,
    n_examples: int,
    seed: int,
    model: str,
    policy_arguments: Mapping[str, Any],
    device: torch.device,
    samples: int,
) -> Evaluation:
    import torch

    from agents.training.held_out import (
        evaluate_policy_on_split,
        evaluate_random,
        evaluate_speaker,
        load_policy,
    )
    from agents.training.speakers import cut_to_first_sentence, speak_lead_sentence
    from textenv.cli.progress import track

    n = min(n_examples, len(core.dataset(split)))
    policy = load_policy(model, core, device, **policy_arguments) if agent in _NEED_MODEL else None
    with track("Evaluating", n * samples) as report:
        if policy is not None:
            torch.manual_seed(seed)
            greedy = agent != "sample"
            evaluation = evaluate_policy_on_split(
                policy, core, split, n, greedy, report, n_samples=samples
            )
            return (
                cut_to_first_sentence(core, evaluation) if agent == "first_sentence" else evaluation
            )
        if agent == "random":
            return evaluate_random(core, split, n, seed, report, samples)
        speak = core.task.gold if agent == "gold" else speak_lead_sentence
        return evaluate_speaker(speak, core, split, n, report)
