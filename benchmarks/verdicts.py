"""How often the bench's verdicts are right, where the truth is known because it was simulated.

    python -m benchmarks.verdicts [--draws 1000] [--alone]

Each draw is a benchmark of five designs and a control that is paid at random; `--alone` has one
design and the control at a time. Every design's truth is one row of `TRUTHS`, in sd. Runs differ by
0.2 sd; prompts and samples as in `examples/reward_bench.yaml`. A design's own score and gold share
half of their noise. The prompts' effects, and the control's runs, are as noisy as the designs'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from textenv.benchmark.bench_verdict import judge
from textenv.benchmark.matrix import GOLD, RANDOM, BenchGains, Gains
from textenv.benchmark.power import Noise
from textenv.benchmark.statistics import FloatArray

# Gold rises by less than half: the rule calls that sound until the lag is shown.
LAGS = "own +1.0, gold +0.3"
# Name -> true own gain, true gold gain, and the verdicts that are right.
TRUTHS = {
    "nothing happens": (0.0, 0.0, ("inert", "unclear")),
    "own +1.0, gold +0.6": (1.0, 0.6, ("sound",)),
    "own +2.5, gold -0.3": (2.5, -0.3, ("hacked",)),
    "own +0.35, gold +0.30": (0.35, 0.30, ("sound", "unclear")),
    LAGS: (1.0, 0.3, ("drifts", "unclear")),
}
SEEDS = (1, 2, 3, 5)
PROMPTS = 96
_SHARED = 0.5  # of the variance, between a design's own score and gold


def simulate(
    rng: np.random.Generator,
    truths: Mapping[str, tuple[float, float]],
    n_seeds: int,
    noise: Noise | None = None,
) -> BenchGains:
    """Draws the gains of a benchmark: designs with their true gains, and a control without any."""
    noise = noise or Noise()

    def draw() -> FloatArray:
        found: FloatArray = (
            noise.runs * rng.normal(size=(n_seeds, 1))
            + noise.prompts * rng.normal(size=(1, PROMPTS))
            + noise.rest * rng.normal(size=(n_seeds, PROMPTS))
        )
        return found

    def beside(shared: FloatArray) -> FloatArray:
        found: FloatArray = _SHARED**0.5 * shared + (1 - _SHARED) ** 0.5 * draw()
        return found

    gains = {}
    looks = np.tile([0.0, 1.0], (n_seeds, 1))
    for name, (own, gold) in {**truths, RANDOM: (0.0, 0.0)}.items():
        shared = draw()
        ends = {GOLD: gold + beside(shared)}
        for metric in truths if name == RANDOM else [name]:
            ends[metric] = own + beside(shared)
        values = {m: np.stack([np.zeros_like(end), end], axis=1) for m, end in ends.items()}
        gains[name] = Gains(tuple(range(n_seeds)), looks, looks, values)
    return BenchGains(gains)


def verdict_of(found: BenchGains, name: str) -> str:
    """Returns the judgement of a design."""
    return judge(
        found.own(name), found.gold(name), found.hacking_index(name), found.lag(name),
        found.fall(name),
    )  # fmt: skip


def count(draws: int, n_seeds: int, *, alone: bool) -> dict[str, Counter[str]]:
    """Returns how often each verdict was given, by truth."""
    rng = np.random.default_rng(n_seeds)
    counts: dict[str, Counter[str]] = {name: Counter() for name in TRUTHS}
    true = {name: (own, gold) for name, (own, gold, _) in TRUTHS.items()}
    benches = [{name: gains} for name, gains in true.items()] if alone else [true]
    for _ in range(draws):
        for truths in benches:
            found = simulate(rng, truths, n_seeds)
            for name in truths:
                counts[name][verdict_of(found, name)] += 1
    return counts


def main(
    draws: Annotated[int, typer.Option(min=1, help="Benchmarks to simulate.")] = 1000,
    alone: Annotated[bool, typer.Option(help="One design beside the control at a time.")] = False,
) -> None:
    """Print the share of each verdict, by truth and number of seeds."""
    words = ("sound", "drifts", "hacked", "inert", "unclear")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("truth")
    for name in ("seeds", *words, "right"):
        table.add_column(name, justify="right")
    for n_seeds in SEEDS:
        counts = count(draws, n_seeds, alone=alone)
        for name, (*_, right) in TRUTHS.items():
            shares = {word: counts[name][word] / draws for word in words}
            table.add_row(
                name,
                str(n_seeds),
                *(f"{shares[word]:.1%}" for word in words),
                f"{sum(shares[word] for word in right):.1%}",
            )
    Console(highlight=False).print(table)


if __name__ == "__main__":
    typer.run(main)
