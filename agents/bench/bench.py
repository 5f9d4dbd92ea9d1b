"""The benchmark from start to end: make the missing runs, score them all, say what they mean.

OUT/bench.yaml              the configuration
OUT/runs/DESIGN/SEED/       run.json (looks with every text), log.txt, error.txt of one that failed
OUT/bench.json, report.html, and tables as CSV: what `textenv.benchmark.report` writes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from agents.bench.config import RANDOM, UNTRAINED, BenchConfig, check_rewards
from agents.bench.records import Run, load_run
from agents.bench.runs import Wanted, make_runs, untrained_runs, wanted_runs
from agents.training import environment_arguments, make_core, versions
from textenv.benchmark.judgement import describe, give_verdict, judge
from textenv.benchmark.matrix import (
    GOLD,
    DesignScores,
    Gains,
    compare_all,
    compute_curve,
    compute_gains,
    compute_hacking_index,
    compute_row,
    estimate,
    fall_from_peak,
    gain_at_kl,
    measure_start,
)
from textenv.benchmark.overoptimisation import matched_kl
from textenv.benchmark.results import (
    Audit,
    Bench,
    Design,
    Metric,
    RunRecord,
    Sample,
    SampleText,
)
from textenv.benchmark.statistics import Estimate, FloatArray
from textenv.episode import TextCore
from textenv.errors import ConfigError, TextEnvError
from textenv.rewards import compute_rewards, load_reward
from textenv.rewards.loading import RewardSpec
from textenv.rewards.normalise import fit_reward

CONFIG_FILE = "bench.yaml"
Report = Callable[[float, str], None]
Stage = Callable[[str, float], Any]  # a context manager that gives a Report


@dataclass(frozen=True)
class _Scored:
    """Runs of one design, with their last texts."""

    scores: DesignScores
    runs: tuple[Run, ...]


def run_bench(config: BenchConfig, out: Path, stage: Stage) -> Bench:
    """Makes what is missing of a benchmark, and computes everything from all of its runs.

    Args:
        config: What to compare.
        out: Its folder; runs of the same configuration that lie there are not repeated.
        stage: Opens a progress display, given what is being done and how many steps it has.

    Raises:
        ConfigError: The folder holds something else, a reward cannot be made, or the untrained
            policy's samples all score the same.
        TextEnvError: The untrained policy cannot be looked at.
        KeyboardInterrupt: After the runs under way were ended; those done stay.
    """
    check_rewards(config)
    _claim_folder(config, out)
    core = make_core(
        config.id, 1, environment_arguments(config.model, config.dataset, None, config.env)
    )
    n_prompts = min(config.prompts, len(core.dataset(config.split)))

    start_runs = untrained_runs(config, out)
    _make(start_runs, config, stage, "Untrained policy")
    for run in start_runs:
        if not run.is_done:
            raise TextEnvError(f"The untrained policy cannot be looked at: {run.error}")
    start = {run.seed: load_run(run.folder, core, config.split) for run in start_runs}
    samples = [episode for run in start.values() for episode in run.looks[0].episodes]
    specs = {
        name: fit_reward(spec, samples)  # type: ignore[arg-type] # checked before
        for name, spec in {**config.designs, **config.gold}.items()
    }
    scorer = _Scorer(specs)
    with stage("Scoring the start", 1):
        start_scores = {seed: scorer.score(run)[:, 0] for seed, run in start.items()}
    stacked = {
        name: np.stack([table[m] for table in start_scores.values()])
        for m, name in enumerate(scorer.names)
    }
    metrics = measure_start(stacked, list(config.designs), list(config.gold))

    rewards = _rewards_of_runs(config, specs, metrics)
    wanted = wanted_runs(config, list(rewards), rewards, out)
    _make(wanted, config, stage, "Training runs")
    done = [run for run in wanted if run.is_done]
    with stage("Scoring the runs", len(done)) as report:
        scored = _score_runs(done, core, config, scorer, start_scores, report)
    audits = _audits(config, core, stage)
    return _conclude(
        config, metrics, scored, start, start_scores, wanted, audits, n_prompts, scorer
    )


def _claim_folder(config: BenchConfig, out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError(f"'{out}' is a file. Choose a folder for --out.")
    if out.exists() and any(out.iterdir()) and not (out / CONFIG_FILE).is_file():
        raise ConfigError(f"'{out}' holds something else than a benchmark. Choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    (out / CONFIG_FILE).write_text(text, encoding="utf-8")


def _rewards_of_runs(
    config: BenchConfig, specs: Mapping[str, RewardSpec], metrics: Sequence[Metric]
) -> dict[str, Any]:
    """Returns what each design or control trains against."""
    units = {metric.name: metric.sd for metric in metrics}
    rewards: dict[str, Any] = {
        name: {"normalise": {"of": specs[name], "std": units[name]}}
        if config.normalise
        else specs[name]
        for name in config.designs
    }
    # Uniform on [0, 1], of which the standard deviation is 1 / sqrt(12).
    noise = {"normalise": {"of": RANDOM, "std": 12**-0.5}} if config.normalise else RANDOM
    return rewards | dict.fromkeys(config.controls, noise)


def _make(wanted: Sequence[Wanted], config: BenchConfig, stage: Stage, what: str) -> None:
    missing = [run for run in wanted if not run.is_done]
    n_failed = 0
    with stage(what, len(wanted)) as report:
        n_done = len(wanted) - len(missing)
        report(n_done, f"{n_done} were there" if n_done else "")

        def ended(name: str, seed: int, status: str) -> None:
            nonlocal n_done, n_failed
            n_done += 1
            n_failed += status == "failed"
            failures = f", {n_failed} failed" if n_failed else ""
            report(n_done, f"{name} seed {seed}{failures}")

        make_runs(wanted, config, ended)


class _Scorer:
    """Scores runs on every metric, each made once."""

    def __init__(self, specs: Mapping[str, RewardSpec]) -> None:
        self.names = tuple(specs)
        self._rewards = [load_reward(spec) for spec in specs.values()]

    def score(self, run: Run) -> FloatArray:
        """Returns (n_metrics, n_looks, n_prompts)."""
        episodes = [episode for look in run.looks for episode in look.episodes]
        shape = (len(run.looks), len(run.looks[0].episodes))
        return np.stack(
            [compute_rewards(reward, episodes).total.reshape(shape) for reward in self._rewards]
        )


def _score_runs(
    done: Sequence[Wanted],
    core: TextCore,
    config: BenchConfig,
    scorer: _Scorer,
    start: Mapping[int, FloatArray],
    report: Report,
) -> dict[str, _Scored]:
    """Scores finished runs, grouped by design, each with the start as its first look."""
    found: dict[str, list[tuple[int, Run, FloatArray]]] = {}
    for i, wanted in enumerate(done):
        run = load_run(wanted.folder, core, config.split)
        table = np.concatenate([start[wanted.seed][:, None], scorer.score(run)], axis=1)
        found.setdefault(wanted.name, []).append((wanted.seed, run, table))
        report(i + 1, wanted.name)
    scored = {}
    for name in (*config.designs, *config.controls):
        if name in found:
            seeds, runs, tables = zip(*found[name], strict=True)
            kl = np.array([[0.0, *(look.kl.mean() for look in run.looks)] for run in runs])
            values = dict(zip(scorer.names, np.stack(tables, axis=1), strict=True))
            scored[name] = _Scored(DesignScores(seeds, kl, values), runs)
    return scored


def _audits(config: BenchConfig, core: TextCore, stage: Stage) -> tuple[Audit, ...]:
    if not config.audit:
        return ()
    from textenv.benchmark.audit import audit

    found = []
    with stage("Auditing the designs", len(config.designs)) as report:
        for i, (name, spec) in enumerate(config.designs.items()):
            made = audit(spec, core, split=config.split, n_examples=config.audit)  # type: ignore[arg-type] # checked before
            found.append(replace(made, reward=name))
            report(i + 1, name)
    return tuple(found)


def _conclude(
    config: BenchConfig,
    metrics: Sequence[Metric],
    scored: Mapping[str, _Scored],
    start: Mapping[int, Run],
    start_scores: Mapping[int, FloatArray],
    wanted: Sequence[Wanted],
    audits: tuple[Audit, ...],
    n_prompts: int,
    scorer: _Scorer,
) -> Bench:
    gains = {name: compute_gains(found.scores, metrics) for name, found in scored.items()}
    of_designs = [gains[name].kl for name in config.designs if name in gains]
    common = matched_kl([run for table in of_designs for run in table]) if of_designs else None
    designs = [_conclude_design(name, config, scored[name], gains[name], common) for name in gains]
    designs.append(_untrained(len(config.seeds), n_prompts))
    comparisons = compare_all(gains, list(config.gold))
    records = [_run_record(run, scored) for run in wanted]
    return Bench(
        title=config.title or f"Reward designs for {config.id}",
        verdict=give_verdict(designs, comparisons, records, list(config.gold), common),
        designs=tuple(designs),
        metrics=tuple(metrics),
        matrix={name: compute_row(scored[name].scores, gains[name], metrics) for name in gains},
        curves=tuple(
            compute_curve(name, metric, gains[name])
            for name in gains
            for metric in ([name, GOLD] if name in config.designs else [GOLD])
        ),
        matched_kl=common,
        comparisons=comparisons,
        runs=tuple(records),
        samples=_samples(config, scored, start, start_scores, scorer.names, n_prompts),
        audits=audits,
        n_prompts=n_prompts,
        config=config.model_dump(mode="json"),
        versions=versions(),
        wall_s=sum(run.wall_s for run in start.values()) + sum(r.wall_s for r in records),
    )


def _conclude_design(
    name: str, config: BenchConfig, scored: _Scored, gains: Gains, common: float | None
) -> Design:
    gold = estimate(gains.final(GOLD))
    distances = np.stack([run.looks[-1].kl for run in scored.runs])
    kl = estimate(distances)
    if name not in config.designs:
        words = f"Paid at random, the gold metrics move by {gold.mean:+.2f} sd."
        return Design(name, "control", RANDOM, "control", words, None, gold, None, None, kl)
    own, index = estimate(gains.final(name)), compute_hacking_index(gains, name)
    fall = fall_from_peak(gains)
    judgement = judge(own, gold, index, fall)
    words = describe(name, judgement, own, gold, index, fall)
    at_kl = None if common is None else gain_at_kl(gains, common)
    spec = config.designs[name]
    return Design(name, "design", spec, judgement, words, own, gold, index, at_kl, kl)


def _untrained(n_seeds: int, n_prompts: int) -> Design:
    zero = Estimate(0.0, (0.0, 0.0))
    words = f"The policy that every run starts from: {n_seeds} samples of {n_prompts} prompts."
    return Design(UNTRAINED, "control", None, "control", words, None, zero, None, None, zero)


def _run_record(run: Wanted, scored: Mapping[str, _Scored]) -> RunRecord:
    found = scored.get(run.name)
    if found is not None and run.seed in found.scores.seeds:
        made = found.runs[found.scores.seeds.index(run.seed)]
        return RunRecord(run.name, run.seed, "done", made.wall_s)
    return RunRecord(run.name, run.seed, "failed" if run.error else "missing", error=run.error)


def _samples(
    config: BenchConfig,
    scored: Mapping[str, _Scored],
    start: Mapping[int, Run],
    start_scores: Mapping[int, FloatArray],
    names: Sequence[str],
    n_prompts: int,
) -> tuple[Sample, ...]:
    """Shows some prompts, evenly spread, with what each policy of its first seed wrote."""
    samples = []
    for index in np.unique(np.linspace(0, n_prompts - 1, config.samples, dtype=int)).tolist():
        seed = config.seeds[0]
        episode = start[seed].looks[0].episodes[index]
        at_start = dict(zip(names, start_scores[seed][:, index].tolist(), strict=True))
        responses = [SampleText(UNTRAINED, seed, episode.response, at_start)]
        for name, found in scored.items():
            values = {m: float(table[0, -1, index]) for m, table in found.scores.values.items()}
            text = found.runs[0].looks[-1].episodes[index].response
            responses.append(SampleText(name, found.scores.seeds[0], text, values))
        prompt = "\n".join(turn.text for turn in episode.turns[: episode.n_opening])
        references = episode.example.references
        samples.append(Sample(episode.example.id, prompt, references, tuple(responses)))
    return tuple(samples)
