"""Token steps per second of the environments, beside Gymnasium's CartPole-v1 stepped the same way.

    python -m benchmarks.env_steps [--rounds 7] [--json out.json]

Each round measures every case and its CartPole one after the other; the ratio of a case is the
median over rounds of the ratios within a round, so that a machine's other work falls on both.
Observations and rewards are discarded. What is timed:

- vector, inside: 256 slots within their episodes; CartPole restarts by itself as its episodes end.
- vector, whole: 256 slots through whole episodes of 64 tokens, with a fresh generated prompt each,
  their texts decoded and scored by ROUGE-L; resets included.
- single, inside: one environment of `gymnasium.make`, its resets not counted, nor CartPole's.
- growth: the last 64 steps of an episode of 1024 tokens against its first 64, in both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
import typer
from rich.console import Console
from rich.progress import track

import textenv  # noqa: F401 - registers the environments
from benchmarks.measuring import (
    JsonPath,
    Spread,
    describe_machine,
    make_table,
    ratios_of,
    spread_of,
    write_json,
)

ID = "TextSummarize-v0"
N_SLOTS = 256
MAX_NEW_TOKENS = 64
LONG_TURN = 1024
WINDOW: dict[str, Any] = {"max_prompt_tokens": 256}
VECTOR_EPISODES = 5
SINGLE_EPISODES = 40
WHOLE_EPISODES = 2  # a slot, in each round


@dataclass(frozen=True)
class Case:
    """One measurement."""

    name: str  # what is timed
    target: str  # the least ratio, or, for growth, the greatest
    ratio: Spread  # ours to CartPole's steps a second; for growth, late to early time a step
    # Token steps a second, the median over rounds; None for growth.
    steps_per_s: float | None = None
    cartpole_steps_per_s: float | None = None  # CartPole's


def time_vector(env: Any, actions: np.ndarray[Any, Any]) -> float:
    """Returns slot steps a second from resets on; actions (resets, steps, slots)."""
    spent = 0.0
    for seed, rows in enumerate(actions):
        env.reset(seed=seed)
        began = time.perf_counter()
        for action in rows:
            env.step(action)
        spent += time.perf_counter() - began
    return actions.size / spent


def time_single(env: Any, actions: np.ndarray[Any, Any]) -> float:
    """Returns steps a second within episodes; actions (episodes, steps)."""
    spent, steps = 0.0, 0
    for seed, row in enumerate(actions):
        env.reset(seed=seed)
        # What an agent passes: a number, not a view of an array.
        taken = [np.int64(action) for action in row]
        began = time.perf_counter()
        for action in taken:
            _, _, terminated, truncated, _ = env.step(action)
            steps += 1
            if terminated or truncated:
                break
        spent += time.perf_counter() - began
    return steps / spent


def make_tokens(env: Any, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Draws tokens that are not special, so that no turn ends early."""
    core = env.unwrapped.core
    first = max(core.tokenizer.special_ids) + 1
    return rng.integers(first, core.tokenizer.vocab_size, size=shape)


def make_cases(rng: np.random.Generator) -> dict[str, tuple[str, Callable[[], float]]]:
    """Returns name -> (target, a measurement of one round)."""
    slots: dict[str, Any] = {"num_envs": N_SLOTS}
    ours = gym.make_vec(ID, max_new_tokens=MAX_NEW_TOKENS, **slots, **WINDOW)
    whole = gym.make_vec(
        ID, max_new_tokens=MAX_NEW_TOKENS, autoreset_mode="same_step", **slots, **WINDOW
    )
    theirs = gym.make_vec("CartPole-v1", vectorization_mode="sync", **slots)
    one = gym.make(ID, max_new_tokens=MAX_NEW_TOKENS, **WINDOW)
    pole = gym.make("CartPole-v1")
    inside = (VECTOR_EPISODES, MAX_NEW_TOKENS - 1, N_SLOTS)
    through = (1, WHOLE_EPISODES * MAX_NEW_TOKENS, N_SLOTS)

    def vector_inside() -> float:
        return time_vector(ours, make_tokens(ours, inside, rng))

    def vector_whole() -> float:
        return time_vector(whole, make_tokens(whole, through, rng))

    def cartpole_vector() -> float:
        return time_vector(theirs, rng.integers(2, size=(1, *inside[1:])))

    def single_inside() -> float:
        return time_single(one, make_tokens(one, (SINGLE_EPISODES, MAX_NEW_TOKENS - 1), rng))

    def cartpole_single() -> float:
        return time_single(pole, rng.integers(2, size=(5 * SINGLE_EPISODES, MAX_NEW_TOKENS)))

    return {
        "vector, inside": ("at least 40", vector_inside),
        "vector, whole": ("at least 2", vector_whole),
        "CartPole vector": ("", cartpole_vector),
        "single, inside": ("at least 0.3", single_inside),
        "CartPole single": ("", cartpole_single),
    }


def make_growth(rng: np.random.Generator, n_slots: int | None) -> Callable[[], float]:
    """Returns a measurement: the time of the last 64 steps of a long turn over the first 64."""
    arguments = {"max_new_tokens": LONG_TURN, **WINDOW}
    env: Any = (
        gym.make(ID, **arguments)
        if n_slots is None
        else gym.make_vec(ID, num_envs=n_slots, **arguments)
    )

    def growth() -> float:
        env.reset(seed=0)
        actions = make_tokens(env, (LONG_TURN, *([] if n_slots is None else [n_slots])), rng)
        spent = []
        for action in actions[:-1]:  # the last one ends the episode
            began = time.perf_counter()
            env.step(action)
            spent.append(time.perf_counter() - began)
        # Medians: one interruption must not pass for growth.
        return statistics.median(spent[-64:]) / statistics.median(spent[:64])

    return growth


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each case is measured.")] = 7,
    json_path: JsonPath = None,
) -> None:
    """Measure the steps per second of the environments beside CartPole's."""
    rng = np.random.default_rng(0)
    cases = make_cases(rng)
    growths = {
        f"growth, {name}": make_growth(rng, n)
        for name, n in (("vector", N_SLOTS), ("single", None))
    }
    found: dict[str, list[float]] = {name: [] for name in (*cases, *growths)}
    for _ in track(range(rounds), description="Measuring", console=Console(stderr=True)):
        for name, (_, measure) in cases.items():
            found[name].append(measure())
        for name, measure in growths.items():
            found[name].append(measure())
    results = []
    for name, (target, _) in cases.items():
        if target:
            pole = found["CartPole vector" if name.startswith("vector") else "CartPole single"]
            rates = (statistics.median(found[name]), statistics.median(pole))
            results.append(Case(name, target, ratios_of(found[name], pole), *rates))
    results += [Case(name, "at most 1.3", spread_of(found[name])) for name in growths]
    columns = ("case", "steps/s", "CartPole", "ratio", "of a round", "wanted")
    table = make_table(f"Medians of {rounds} rounds", *columns)
    for case in results:
        rates_shown = [
            "" if rate is None else f"{rate:,.0f}"
            for rate in (case.steps_per_s, case.cartpole_steps_per_s)
        ]
        table.add_row(case.name, *rates_shown, *case.ratio.cells(), case.target)
    Console().print(table)
    machine = describe_machine("numpy", "gymnasium")
    figures = {"rounds": rounds, "machine": machine, "cases": [asdict(case) for case in results]}
    write_json(json_path, figures)


if __name__ == "__main__":
    typer.run(main)
