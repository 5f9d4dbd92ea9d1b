"""The commands `list` and `show`: which environments there are, and what one looks like."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from textenv.cli.arguments import (
    AsJson,
    Dataset,
    EnvKeys,
    Id,
    Model,
    RewardText,
    Split,
    environment_keys,
)
from textenv.cli.console import (
    parse_spec,
    print_candidates,
    print_findings,
    print_heading,
    print_json,
    print_scores,
    print_turns,
)
from textenv.cli.overrides import check_given_once
from textenv.cli.terminal import make_console
from textenv.env import TextEnv
from textenv.episode import TextCore
from textenv.examples import Episode
from textenv.model_folders import model_folder
from textenv.preflight import find_in_data
from textenv.registry import environment_row, registered_ids
from textenv.rewards import compute_rewards
from textenv.rollout import play_text
from textenv.tasks.base import Field
from textenv.tokenization import EMBEDDED
from textenv.vector import environment_arguments, make_core


def list_environments(as_json: AsJson = False) -> None:
    """List the environments."""
    rows = [_summary(id) for id in registered_ids()]
    if as_json:
        print_json(rows)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(row["id"], Text(row["description"]))
    console = make_console()
    console.print(table)
    console.print(Text("textenv show ID says more; textenv play ID lets you try one.", "dim"))


def show_environment(
    id: Id,
    overrides: EnvKeys = None,
    index: Annotated[int, typer.Option(help="Which example to show.")] = 0,
    split: Split = None,
    model: Model = None,
    dataset: Dataset = None,
    reward: RewardText = None,
    as_json: AsJson = False,
) -> None:
    """Show one environment: its arguments, what was read, and an example with its ideal answer.

    It says which prompts would be cut, and which ideal answers are too long for a turn.
    """
    core, arguments = make_shown_core(id, overrides, model, dataset, reward)
    # All that a training reads of one's own data; of the environment's own, what is shown.
    asked = [split or core.split]
    splits = [core.split, "validation", "test", *asked] if "dataset" in arguments else asked
    findings, fit = find_in_data(core, model or EMBEDDED, splits)
    example = core.choose_example(np.random.default_rng(), {"index": index, "split": split})
    info = core.start(0, example)
    prompt_ids = core.input_ids[0, : core.lengths[0]].tolist()
    episode = play_text(core, example, core.task.gold)
    result = compute_rewards(core.reward, [episode])
    components = {name: float(values[0]) for name, values in result.components.items()}
    opening = core.task.opening(example)
    shown: dict[str, Any] = _summary(id) | {
        "task": environment_row(id).task,
        "task_kwargs": environment_row(id).task_kwargs,
        "arguments": _arguments(id) | arguments,
        "fields": [asdict(field) for field in core.task.fields],
        "findings": findings,
        "observation_space": _spaces(core)[0],
        "action_space": _spaces(core)[1],
        "example": {
            "id": example.id,
            "opening": [{"role": turn.role, "text": turn.text} for turn in opening],
            "prompt_tokens": len(prompt_ids),
            "prompt_cut": info["prompt_cut"],
            "references": list(example.references),
            "gold": list(episode.responses),
            "gold_reward": float(result.total[0]),
            "gold_reward_components": components,
        },
    }
    if as_json:
        print_json(shown)
        return
    console = make_console()
    _print_environment(console, shown, core, arguments)
    console.print()
    print_findings(console, findings)
    if fit is not None:
        console.print(Text(fit))
    print_heading(console, f"Example {example.id}")
    print_turns(console, opening)
    used = f"{len(prompt_ids)} of at most {core.max_prompt_tokens} prompt tokens"
    console.print(Text(used, style="dim"))
    if core.action_level == "select":
        print_heading(console, "Candidates")
        print_candidates(console, core.task.candidates(example, opening))
    if info["prompt_cut"]:
        console.print(Text("It is too long and was cut; the agent sees:", style="yellow"))
        console.print(Text(core.tokenizer.decode(prompt_ids)))
    print_gold(console, core, episode)
    print_scores(console, float(result.total[0]), components)


def make_shown_core(
    id: str,
    overrides: Sequence[str] | None,
    model: str | None,
    dataset: str | None,
    reward: str | None,
) -> tuple[TextCore, dict[str, Any]]:
    """Makes one slot of an environment from a command's options; returns also its arguments."""
    environment_row(id)
    env, data, paid = environment_keys(overrides or ()), parse_spec(dataset), parse_spec(reward)
    check_given_once(env, dataset=data, reward=paid)
    arguments = environment_arguments(model_folder(model or EMBEDDED), data, paid, env)
    return make_core(id, 1, arguments), arguments


def print_gold(console: Console, core: TextCore, episode: Episode) -> None:
    """Prints the ideal answers of an example: its references, or the ideal conversation."""
    if len(episode.responses) == 1:
        several = len(episode.example.references) > 1
        print_heading(console, "Ideal answers" if several else "Ideal answer")
        for answer in episode.example.references:
            console.print(Text(f"  {answer}"))
    else:
        print_heading(console, "Ideal conversation")
        print_turns(console, episode.turns[len(core.task.opening(episode.example)) :])


def _print_environment(
    console: Console, shown: dict[str, Any], core: TextCore, here: Mapping[str, Any]
) -> None:
    console.print(Text(shown["id"], style="bold"))
    console.print(Text(shown["description"]))
    console.print()
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    options = f" {_plain(shown['task_kwargs'])}" if shown["task_kwargs"] else ""
    turns = "1 turn" if core.max_turns == 1 else f"up to {core.max_turns} turns"
    facts.add_row("task", Text(shown["task"] + options))
    facts.add_row("episode", f"{turns} of at most {core.max_new_tokens} tokens")
    facts.add_row("observation", Text(shown["observation_space"]))
    facts.add_row("action", Text(shown["action_space"]))
    facts.add_row("own rows", Text(_describe_fields(core.task.fields)))
    console.print(facts)
    print_heading(console, "Arguments")
    given = environment_row(shown["id"]).kwargs.model_fields_set
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(style="dim")
    for name, value in shown["arguments"].items():
        note = "given" if name in here else "of this environment" if name in given else ""
        table.add_row(f"  {name}", Text(_plain(value)), note)
    console.print(table)


def _describe_fields(fields: Sequence[Field]) -> str:
    """Lists the columns that rows of one's own need or may have, each with its other names."""
    parts = []
    for start, required in (("need ", True), ("may have ", False)):
        named = [
            field.name + (f" (or {', '.join(field.aliases)})" if field.aliases else "")
            for field in fields
            if field.required is required
        ]
        if named:
            parts.append(start + ", ".join(named))
    return "; ".join(parts) or "of any columns"


def _summary(id: str) -> dict[str, Any]:
    arguments = _arguments(id)
    names = ("dataset", "reward", "action_level", "max_turns")
    return {"id": id, "description": environment_row(id).description} | {
        name: arguments[name] for name in names
    }


def _arguments(id: str) -> dict[str, Any]:
    """Returns every argument of an environment, with what it is by default."""
    row = environment_row(id).make_kwargs()
    defaults = {
        name: parameter.default
        for function in (TextCore.__init__, TextEnv.__init__)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in ("task", "task_kwargs")
    }
    return {name: row.get(name, default) for name, default in defaults.items()}


def _spaces(core: TextCore) -> tuple[str, str]:
    """Returns the observation space and the action space, each on a line."""
    seen, acted = core.single_observation_space, core.single_action_space
    shown = str(seen)
    if isinstance(seen, gym.spaces.Dict):
        boxes = (f"{name} {box.dtype} {box.shape}" for name, box in seen.spaces.items())
        shown = f"Dict: {', '.join(boxes)}"
    meaning = {
        "token": "the next token",
        "text": "the whole reply",
        "select": "the number of a candidate reply",
    }
    return shown, f"{acted}: {meaning[core.action_level]}"


def _plain(value: object) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
