"""Resets and steps a second of an environment behind OpenEnv, beside the same one in this process.

    python -m benchmarks.openenv [--id TextDialogue-v0] [--rounds 5] [--json out.json]

The server runs in a process of its own on this machine. A reset begins an episode; a step is a
whole turn of the agent at text level, which the environment answers or scores. In each round both
are measured one after the other, over the same episodes. With several slots their turns are sent
one after the other, so that the cost of one is what counts.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import gymnasium as gym
import typer
from rich.console import Console

import textenv  # noqa: F401 - registers the environments
from benchmarks.measuring import (
    JsonPath,
    describe_machine,
    make_table,
    ratios_of,
    write_json,
)

N_EPISODES = 200
SAID = "Which food, which area, how many people, which day and what time?"


@contextmanager
def serve(id: str) -> Iterator[str]:
    """Serves an environment in another process; yields its address."""
    command = [sys.executable, "-m", "textenv", "openenv", id, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                raise typer.Exit(1)
            yield found.group()
        finally:
            process.terminate()


def time_episodes(env: Any, first: int) -> tuple[float, float]:
    """Returns the resets and the steps a second of `N_EPISODES` episodes."""
    in_resets = in_steps = 0.0
    n_steps = 0
    for seed in range(first, first + N_EPISODES):
        began = time.perf_counter()
        env.reset(seed=seed)
        in_resets += time.perf_counter() - began
        over = False
        while not over:
            began = time.perf_counter()
            _, _, over, _, _ = env.step(SAID)
            in_steps += time.perf_counter() - began
            n_steps += 1
    return N_EPISODES / in_resets, n_steps / in_steps


def main(
    id: Annotated[str, typer.Option(help="Environment.")] = "TextDialogue-v0",
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 5,
    json: JsonPath = None,
) -> None:
    """Measures and prints a table."""
    here = gym.make(id, action_level="text").unwrapped
    rows: dict[str, list[tuple[float, float]]] = {"resets": [], "steps": []}
    with serve(id) as url:
        there = gym.make("textenv:OpenEnv-v0", url=url, action_level="text").unwrapped
        for i in range(rounds + 1):
            pairs = zip(
                time_episodes(there, i * N_EPISODES),
                time_episodes(here, i * N_EPISODES),
                strict=True,
            )
            if i:  # the first round warms up
                for name, pair in zip(rows, pairs, strict=True):
                    rows[name].append(pair)
        there.close()
    found: dict[str, dict[str, Any]] = {
        name: {
            "openenv_per_s": statistics.median(a for a, _ in pairs),
            "in_process_per_s": statistics.median(b for _, b in pairs),
            "ratio": asdict(ratios_of([a for a, _ in pairs], [b for _, b in pairs])),
        }
        for name, pairs in rows.items()
    }
    table = make_table(f"{id}, one session", "a second", "OpenEnv", "in this process", "ratio")
    for name, row in found.items():
        table.add_row(
            name,
            f"{row['openenv_per_s']:.0f}",
            f"{row['in_process_per_s']:.0f}",
            "{median:.3f} ({low:.3f}-{high:.3f})".format(**row["ratio"]),
        )
    Console().print(table)
    write_json(json, {"machine": describe_machine(), "id": id, "rounds": rounds, "found": found})


if __name__ == "__main__":
    typer.run(main)
