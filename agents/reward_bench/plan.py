"""What a benchmark can find and costs, before it is run; with noise and times of earlier runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from agents.reward_bench.config import BenchConfig, count_prompts
from textenv.benchmark.power import Noise, smallest_gain
from textenv.benchmark.results import Bench, load_record

_TRIED_SEEDS = (1, 2, 3, 5, 8)
BENCH_FILE = "bench.json"


@dataclass(frozen=True)
class PlanRow:
    """A benchmark with so many seeds."""

    n_seeds: int
    smallest_gain: float | None  # of gold, in sd; None if nothing can be shown
    n_runs: int
    n_episodes: int
    run_s: float | None  # the time of all runs, one after the other; None if none was made


@dataclass(frozen=True)
class Plan:
    """What several numbers of seeds would find."""

    n_seeds: int  # the configuration's
    n_prompts: int  # of a look: what was asked for, or all that the split has
    n_asked: int
    noise: Noise
    measured: bool  # whether the noise is that of runs in the folder
    rows: tuple[PlanRow, ...]


def make_plan(config: BenchConfig, out: Path | None = None) -> Plan:
    """Plans a benchmark; what an earlier one in a folder measured replaces the defaults."""
    kept = None if out is None else out / BENCH_FILE
    earlier = load_record(Bench, kept) if kept is not None and kept.is_file() else None
    seconds = [run.wall_s for run in earlier.runs if run.status == "done"] if earlier else []
    noise = earlier.noise if earlier else None
    n_prompts = count_prompts(config)
    n_designs, n_controls = len(config.designs), len(config.controls)
    rows = []
    for n_seeds in sorted({*_TRIED_SEEDS, len(config.seeds)}):
        n_runs = n_seeds * (n_designs + n_controls)
        gain = smallest_gain(
            noise or Noise(), n_seeds, n_prompts, n_designs, control=n_controls > 0
        )
        run_s = n_runs * median(seconds) if seconds else None
        rows.append(PlanRow(n_seeds, gain, n_runs, n_runs * config.budget, run_s))
    return Plan(
        n_seeds=len(config.seeds),
        n_prompts=n_prompts,
        n_asked=config.prompts,
        noise=noise or Noise(),
        measured=noise is not None,
        rows=tuple(rows),
    )
