"""Computes the record of a benchmark from scored runs: tables, judgements, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agents.reward_bench.config import RANDOM, UNTRAINED, BenchConfig
from agents.reward_bench.runs import Wanted
from agents.reward_bench.scoring import ScoredDesign, Start
from agents.training.run import versions
from textenv.benchmark.bench_verdict import describe, give_verdict, judge, rises
from textenv.benchmark.best_of_n import make_best_of_n
from textenv.benchmark.matrix import (
    GOLD,
    Gains,
    compare_all,
    compute_curve,
    compute_gains,
    compute_hacking_index,
    compute_lag,
    compute_row,
    estimate,
    estimate_divergence,
    fall_from_peak,
    gain_at_kl,
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
from textenv.benchmark.statistics import Estimate


def conclude(
    config: BenchConfig,
    metrics: Sequence[Metric],
    start: Start,
    scored: Mapping[str, ScoredDesign],
    wanted: Sequence[Wanted],
    audits: tuple[Audit, ...],
) -> Bench:
    """Computes everything that the report shows."""
    gains = {name: compute_gains(found.scores, metrics) for name, found in scored.items()}
    own = {name: estimate(gains[name].final(name)) for name in config.designs if name in gains}
    # Controls, and designs that taught nothing, have a KL near 0, at which nothing can be compared.
    common = matched_kl(kl for name, gain in own.items() if rises(gain) for kl in gains[name].kl)
    designs = [
        _conclude_design(name, config, own[name], gains[name], scored[name], common)
        if name in own
        else _control(gains[name], scored[name])
        for name in gains
    ]
    designs.append(_untrained(start))
    comparisons = compare_all(gains, list(config.gold))
    records = [_run_record(run, scored) for run in wanted]
    pools = start.pools
    n_prompts = len(next(iter(pools.values())))
    return Bench(
        title=config.title or f"Reward designs for {config.id}",
        verdict=give_verdict(designs, comparisons, records, list(config.gold), common, audits),
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
        samples=_samples(config, start, scored, n_prompts),
        audits=audits,
        n_prompts=n_prompts,
        config=config.model_dump(mode="json"),
        versions=versions(),
        run_s=sum(run.wall_s for run in start.runs.values()) + sum(r.wall_s for r in records),
        best_of_n=tuple(
            make_best_of_n(name, {metric: pools[metric] for metric in (name, *config.gold)})
            for name in config.designs
        ),
    )


def _conclude_design(
    name: str,
    config: BenchConfig,
    own: Estimate,
    gains: Gains,
    scored: ScoredDesign,
    common: float | None,
) -> Design:
    gold, index = estimate(gains.final(GOLD)), compute_hacking_index(gains, name)
    fall = fall_from_peak(gains)
    judgement = judge(own, gold, index, compute_lag(gains, name), fall)
    return Design(
        name=name,
        kind="design",
        spec=config.designs[name],
        judgement=judgement,
        words=describe(judgement, gold, fall),
        own_gain=own,
        gold_gain=gold,
        hacking_index=index,
        gold_at_matched_kl=None if common is None or not rises(own) else gain_at_kl(gains, common),
        kl=estimate_divergence(scored.final_kl),
    )


def _control(gains: Gains, scored: ScoredDesign) -> Design:
    words = "Every episode is paid a random number, which shows the effect of training alone."
    gold, kl = estimate(gains.final(GOLD)), estimate_divergence(scored.final_kl)
    return Design(RANDOM, "control", RANDOM, "control", words, None, gold, None, None, kl)


def _untrained(start: Start) -> Design:
    zero = Estimate(0.0, (0.0, 0.0))
    n_prompts, n_samples = next(iter(start.pools.values())).shape
    words = f"The start of every run: {n_samples} samples of each of {n_prompts} prompts."
    return Design(UNTRAINED, "control", None, "control", words, None, zero, None, None, zero)


def _run_record(run: Wanted, scored: Mapping[str, ScoredDesign]) -> RunRecord:
    found = scored.get(run.name)
    if found is not None and run.seed in found.scores.seeds:
        made = found.runs[found.scores.seeds.index(run.seed)]
        return RunRecord(run.name, run.seed, "done", made.wall_s)
    return RunRecord(run.name, run.seed, "failed" if run.error else "missing", error=run.error)


def _samples(
    config: BenchConfig, start: Start, scored: Mapping[str, ScoredDesign], n_prompts: int
) -> tuple[Sample, ...]:
    """Returns some prompts, evenly spread, with the responses of each policy's first seed."""
    seed = config.seeds[0]
    look = start.runs[seed].looks[0]
    samples = []
    for index in np.unique(np.linspace(0, n_prompts - 1, config.samples, dtype=int)).tolist():
        episode = look.episodes[index * look.n_samples]
        scores = start.scores[seed][:, index, 0].tolist()
        at_start = dict(zip(start.metrics, scores, strict=True))
        responses = [SampleText(UNTRAINED, seed, episode.response, at_start)]
        for name, found in scored.items():
            values = {m: float(table[0, -1, index]) for m, table in found.scores.values.items()}
            text = found.runs[0].looks[-1].episodes[index].response
            responses.append(SampleText(name, found.scores.seeds[0], text, values))
        prompt = "\n".join(turn.text for turn in episode.turns[: episode.n_opening])
        references = episode.example.references
        samples.append(Sample(episode.example.id, prompt, references, tuple(responses)))
    return tuple(samples)
