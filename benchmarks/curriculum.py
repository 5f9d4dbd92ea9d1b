"""What a curriculum gains over uniform prompts at equal tokens: two environments, five seeds each.

    python -m benchmarks.curriculum --out runs/curriculum
    python -m benchmarks.curriculum --out runs/curriculum --setting levels --seed 0
    python -m benchmarks.curriculum --out runs/curriculum --summarize --json curriculum.json

The first command makes every run that has no result yet, one after the other; the second those of
one setting and seed; the third puts what is there into Markdown. Both ways of drawing have the same
seeds, so that they start alike, and are measured greedily on the same test examples, which are
drawn uniformly. A run takes about a minute of one core.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
import typer
from rich.console import Console

from agents.cli.display import interval
from agents.ppo.ppo import TextPPO
from agents.training.held_out import evaluate_policy_on_split
from benchmarks.measuring import JsonPath, describe_machine, write_json
from textenv.benchmark.effects import Effects
from textenv.datasets import make_generator
from textenv.errors import ConfigError
from textenv.registry import environment_row
from textenv.storage.whole_files import write_whole
from textenv.vector import make_core

WAYS = ("shuffled", "curriculum")
_SEEDS = tuple(range(5))
_COMMON: dict[str, Any] = {
    "n_episodes": 64, "n_envs": 64, "batch_size": 32, "group_size": 4, "advantage": "rloo",
    "device": "cpu",
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """An environment, and what is drawn in it."""

    id: str
    total_tokens: int  # Budget of a run
    levels: tuple[str, ...] = ()  # Difficulty levels; empty to draw prompts
    n_rows: int | None = None  # Rows of the environment's own kind to train on; None for all
    n_examples: int = 256  # Test examples of the environment, or of each level
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def measured(self) -> tuple[str, ...]:
        """Environments on which a run is measured."""
        return self.levels or (self.id,)


SETTINGS = {
    "levels": Setting(
        "TextTranslateHard-v0",
        total_tokens=24_000,
        levels=("TextTranslateEasy-v0", "TextTranslate-v0", "TextTranslateHard-v0"),
        n_examples=128,
    ),
    "prompts": Setting("TextKeywords-v0", total_tokens=16_000, n_rows=160),
}


def main(
    out: Annotated[Path, typer.Option(help="Folder of the runs' results.")],
    setting: Annotated[list[str] | None, typer.Option(help="levels, prompts; all.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seeds; 0 to 4 by default.")] = None,
    way: Annotated[list[str] | None, typer.Option(help="shuffled, curriculum; both.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Budget, to see that it runs.")] = None,
    summarize: Annotated[bool, typer.Option(help="Only put together what is there.")] = False,
    json_path: JsonPath = None,
) -> None:
    """Makes the runs that are missing, and compares both ways of drawing prompts."""
    out.mkdir(parents=True, exist_ok=True)
    for name in [] if summarize else setting or SETTINGS:
        for number in seed or _SEEDS:
            for prompts in way or WAYS:
                path = out / f"{name}-{prompts}-{number}.json"
                if not path.exists():
                    run = make_run(SETTINGS[name], prompts, number, out, tokens)
                    write_whole(path, json.dumps(run))
    found = [summarize_setting(out, name) for name in SETTINGS]
    figures = [summary for summary in found if summary]
    if not figures:
        raise ConfigError(f"'{out}' holds no pair of finished runs.")
    Console().print(table(figures), soft_wrap=True, markup=False)
    write_json(json_path, {"machine": describe_machine("torch"), "settings": figures})


def make_run(
    setting: Setting, prompts: str, seed: int, out: Path, tokens: int | None = None
) -> dict[str, Any]:
    """Trains an agent, and measures it on test examples of each environment."""
    arguments: dict[str, Any] = {}
    if setting.n_rows is not None:
        arguments["dataset"] = str(write_rows(setting.id, setting.n_rows, out))
    env = gym.make_vec(setting.id, num_envs=_COMMON["n_envs"], **arguments)
    agent = TextPPO(
        "LMPolicy",
        env,  # type: ignore[arg-type] # a vector environment of ours, which gymnasium does not know
        policy_kwargs={"bf16": False},
        seed=seed,
        prompts=prompts,
        levels=list(setting.levels),
        **{**_COMMON, **setting.options},
    )
    curves: list[dict[str, float]] = []

    def keep(metrics: Mapping[str, float]) -> bool:
        curves.append(dict(metrics))
        return True

    started_at = time.perf_counter()
    agent.learn(tokens or setting.total_tokens, after_iteration=keep)
    wall_s = time.perf_counter() - started_at
    rewards = {
        id: evaluate_policy_on_split(
            agent.policy, make_core(id, _COMMON["n_envs"]), "test", setting.n_examples
        ).rewards.tolist()
        for id in setting.measured
    }
    return {
        "id": setting.id, "prompts": prompts, "seed": seed, "tokens": agent.num_timesteps,
        "episodes": agent.n_episodes_done, "train_s": wall_s, "rewards": rewards, "curves": curves,
    }  # fmt: skip


def write_rows(id: str, n: int, out: Path) -> Path:
    """Writes rows of an environment's generated data set as a file; returns its path."""
    path = out / f"{id}-{n}.jsonl"
    if not path.exists():
        spec = environment_row(id).make_kwargs()["dataset"]
        options = dict(spec) if isinstance(spec, Mapping) else {"path": spec}
        generator = make_generator(options.pop("path"), options)
        # Another stream than the environment's own.
        rng = np.random.default_rng([1, n])
        rows = [dict(generator.sample(rng)[1]) for _ in range(n)]
        write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))
    return path


def summarize_setting(out: Path, name: str) -> dict[str, Any] | None:
    """Puts the seeds of a setting together of which both ways have finished.

    The interval of the difference is over seeds and examples, both taken as samples.
    """
    setting, both = SETTINGS[name], []
    for seed in _SEEDS:
        paths = [out / f"{name}-{way}-{seed}.json" for way in WAYS]
        if all(path.exists() for path in paths):
            both.append([json.loads(path.read_text(encoding="utf-8")) for path in paths])
    if not both:
        return None
    uniform, curriculum = zip(*both, strict=True)
    compared: dict[str, tuple[str, ...]] = {id: (id,) for id in setting.measured}
    if len(setting.measured) > 1:
        compared["mean of the levels"] = setting.measured
    return {
        "setting": name,
        "id": setting.id,
        "seeds": [run["seed"] for run in uniform],
        **{
            f"{key}_{way}": [run[key] for run in runs]
            for key in ("tokens", "episodes", "train_s")
            for way, runs in zip(WAYS, (uniform, curriculum), strict=True)
        },
        "measured": [compare(label, uniform, curriculum, ids) for label, ids in compared.items()],
    }


def compare(
    label: str,
    uniform: Sequence[Mapping[str, Any]],
    curriculum: Sequence[Mapping[str, Any]],
    ids: Sequence[str],
) -> dict[str, Any]:
    """Compares both ways, seed by seed and example by example, on the mean of some environments."""
    first, second = (
        np.array([np.mean([run["rewards"][id] for id in ids], axis=0) for run in runs])
        for runs in (uniform, curriculum)
    )
    gains = second - first
    return {
        "what": label,
        "uniform": first.mean(axis=1).tolist(),
        "curriculum": second.mean(axis=1).tolist(),
        "differences": gains.mean(axis=1).tolist(),
        "difference": Effects({"": gains}).since_start("").estimate().to_json(),
    }


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    """Returns a table in Markdown."""
    head = ("drawn", "measured on", "uniform", "curriculum", "differences by seed", "difference")
    rows = [
        [
            summary["setting"],
            row["what"],
            f"{np.mean(row['uniform']):.3f}",
            f"{np.mean(row['curriculum']):.3f}",
            ", ".join(f"{value:+.3f}" for value in row["differences"]),
            interval(row["difference"], signed=True),
        ]
        for summary in figures
        for row in summary["measured"]
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    typer.run(main)
