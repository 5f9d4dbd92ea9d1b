"""The benchmark from start to end: make the missing runs, score all runs, draw conclusions.

OUT/bench.yaml              the configuration
OUT/runs/DESIGN/SEED/       run.json (looks with every text), log.txt, and error.txt if it failed
OUT/bench.json, report.html, and tables as CSV, written by `textenv.benchmark.report`
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from agents.reward_bench.conclusions import conclude
from agents.reward_bench.config import BenchConfig, check_rewards, make_bench_core
from agents.reward_bench.records import Run, load_run
from agents.reward_bench.runs import Wanted, make_runs, untrained_runs, wanted_runs
from agents.reward_bench.scoring import Report, ScoredDesign, Scorer, Start
from textenv.benchmark.matrix import RANDOM, measure_start
from textenv.benchmark.results import Audit, Bench, Metric
from textenv.episode import TextCore
from textenv.errors import ConfigError, TextEnvError
from textenv.rewards.loading import RewardSpec
from textenv.rewards.normalise import fit_reward
from textenv.storage.faults import storage_faults
from textenv.storage.folder_lock import LOCK_FILE, locked
from textenv.storage.whole_files import write_whole

CONFIG_FILE = "bench.yaml"
Stage = Callable[[str, float], AbstractContextManager[Report]]


def run_bench(
    config: BenchConfig, out: Path, stage: Stage, begun: Callable[[], None] = lambda: None
) -> Bench:
    """Makes the missing runs of a benchmark, and computes its results from all runs.

    Finished runs of the same configuration in `out` are not repeated. Interrupted, it ends the
    unfinished ones. It raises ConfigError where the folder holds something else, a reward cannot be
    made, or all samples of the untrained policy score the same. `begun` is called once the folder
    is the benchmark's own, before anything slow.
    """
    core = make_bench_core(config)
    check_rewards(config, core)
    with _claimed(out):
        _write_config(config, out)
        begun()
        return _run(config, core, out, stage)


def _run(config: BenchConfig, core: TextCore, out: Path, stage: Stage) -> Bench:
    runs = _look_at_start(config, core, out, stage)
    specs = _fitted_specs(config, runs)
    scorer = Scorer(specs)
    with stage("Scoring the start", len(runs)) as report:
        start = scorer.score_start(runs, report)
    metrics = measure_start(start.pools, list(config.designs), list(config.gold))

    rewards = _rewards_of_runs(config, specs, metrics)
    wanted = wanted_runs(config, list(rewards), rewards, out)
    _make(wanted, config, stage, "Training runs")
    with stage("Scoring the runs", len(rewards)) as report:
        scored = _score_designs(wanted, config, core, scorer, start, report)
    audits = _audits(config, specs, core, start, stage)
    return conclude(config, metrics, start, scored, wanted, audits)


@contextmanager
def _claimed(out: Path) -> Iterator[None]:
    """Locks the folder of a benchmark, which must be new or hold a benchmark."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"'{out}' is a file. Choose a folder for --out.")
    with locked(out, "benchmark", "Wait for it to end, or choose another --out."):
        names = {entry.name for entry in out.iterdir()} - {LOCK_FILE}
        if names and CONFIG_FILE not in names:
            raise ConfigError(
                f"'{out}' holds something else than a benchmark. Choose another --out."
            )
        yield


def _write_config(config: BenchConfig, out: Path) -> None:
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    with storage_faults(out / CONFIG_FILE):
        write_whole(out / CONFIG_FILE, text)


def _look_at_start(config: BenchConfig, core: TextCore, out: Path, stage: Stage) -> dict[int, Run]:
    """Samples the untrained policy, in one run for each seed."""
    wanted = untrained_runs(config, out)
    _make(wanted, config, stage, "Untrained policy")
    for run in wanted:
        if not run.is_done:
            raise TextEnvError(f"The untrained policy cannot be looked at: {run.error}")
    return {run.seed: load_run(run.folder, core, config.split) for run in wanted}


def _fitted_specs(config: BenchConfig, start: Mapping[int, Run]) -> dict[str, RewardSpec]:
    """Returns every reward's description, fitted on samples of the untrained policy."""
    samples = [episode for run in start.values() for episode in run.looks[0].episodes]
    return {
        name: fit_reward(spec, samples)  # type: ignore[arg-type] # `check_rewards` made each
        for name, spec in {**config.designs, **config.gold}.items()
    }


def _rewards_of_runs(
    config: BenchConfig, specs: Mapping[str, RewardSpec], metrics: Sequence[Metric]
) -> dict[str, Any]:
    """Returns the reward of each design and control, in standard deviations if asked for."""
    units = {metric.name: metric.sd for metric in metrics}
    # Noise is uniform on [0, 1], with a standard deviation of 1 / sqrt(12).
    paid = {name: (specs[name], units[name]) for name in config.designs}
    paid |= dict.fromkeys(config.controls, (RANDOM, 12 ** (-0.5)))
    if not config.normalise:
        return {name: spec for name, (spec, _) in paid.items()}
    return {name: {"normalise": {"of": spec, "std": std}} for name, (spec, std) in paid.items()}


def _make(wanted: Sequence[Wanted], config: BenchConfig, stage: Stage, what: str) -> None:
    n_done = sum(run.is_done for run in wanted)
    n_failed = 0
    with stage(what, len(wanted)) as report:
        report(n_done, f"{n_done} already made" if n_done else "")

        def ended(name: str, seed: int, status: str) -> None:
            nonlocal n_done, n_failed
            n_done += 1
            n_failed += status == "failed"
            failures = f", {n_failed} failed" if n_failed else ""
            report(n_done, f"{name} seed {seed}{failures}")

        make_runs(wanted, config, ended)


def _score_designs(
    wanted: Sequence[Wanted],
    config: BenchConfig,
    core: TextCore,
    scorer: Scorer,
    start: Start,
    report: Report,
) -> dict[str, ScoredDesign]:
    """Scores the finished runs of each design and control."""
    scored: dict[str, ScoredDesign] = {}
    for i, name in enumerate((*config.designs, *config.controls)):
        done = [run for run in wanted if run.name == name and run.is_done]
        if done:
            runs = {run.seed: load_run(run.folder, core, config.split) for run in done}
            scored[name] = scorer.score_design(runs, start)
        report(i + 1, name)
    return scored


def _audits(
    config: BenchConfig,
    specs: Mapping[str, RewardSpec],
    core: TextCore,
    start: Start,
    stage: Stage,
) -> tuple[Audit, ...]:
    if not config.audit:
        return ()
    from textenv.benchmark.audit import audit
    from textenv.benchmark.learnability import PolicySamples

    found = []
    with stage("Auditing the designs", len(config.designs)) as report:
        for i, name in enumerate(config.designs):
            pool = start.pools[name]
            made = audit(
                specs[name],
                core,
                split=config.split,
                n_examples=config.audit,
                policy=PolicySamples(config.model, (), pool.shape[1], pool),
            )
            found.append(replace(made, reward=name))
            report(i + 1, name)
    return tuple(found)
