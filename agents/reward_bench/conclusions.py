"""Computes the record of a benchmark from scored runs: tables, judgements, the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agents.ppo.model_card import versions
from agents.reward_bench.config import UNTRAINED, BenchConfig
from agents.reward_bench.runs import Wanted
from agents.reward_bench.scoring import ScoredDesign, Start
from textenv.benchmark.bench_verdict import describe, give_verdict, judge
from textenv.benchmark.best_of_n import make_best_of_n
from textenv.benchmark.effects import Effect
from textenv.benchmark.independence import tell_of_shared_faults
from textenv.benchmark.matrix import (
    GOLD,
    RANDOM,
    BenchGains,
    compute_gains,
    estimate_divergence,
)
from textenv.benchmark.overoptimisation import matched_kl
from textenv.benchmark.power import measure_noise
from textenv.benchmark.results import (
    Audit,
    Bench,
    Design,
    Judgement,
    Metric,
    RunRecord,
    Sample,
    SampleText,
)
from textenv.benchmark.statistics import Estimate

_STILL = 0.02  # nats a response; what an untrained policy's estimate may be off by


def conclude(
    config: BenchConfig,
    metrics: Sequence[Metric],
    start: Start,
    scored: Mapping[str, ScoredDesign],
    wanted: Sequence[Wanted],
    audits: tuple[Audit, ...],
) -> Bench:
    """Computes everything that the report shows."""
    found = BenchGains({name: compute_gains(runs.scores, metrics) for name, runs in scored.items()})
    # Controls, and designs that taught nothing, have a KL near 0, at which nothing can be compared.
    learned = [n for n in config.designs if n in scored and found.own(n).exceeds(0)]
    common = matched_kl(kl for name in learned for kl in found.gains[name].kl)
    by_token = matched_kl(kl for name in learned for kl in found.gains[name].kl_by_token)
    at_kl = {} if common is None else found.at_kl(common, learned)
    at_kl_by_token = {} if by_token is None else found.at_kl(by_token, learned, by_token=True)
    designs = [
        _conclude_design(
            name, config, found, scored[name], at_kl.get(name), at_kl_by_token.get(name)
        )
        if name in config.designs
        else _control(found, scored[name])
        for name in scored
    ]
    designs.append(_untrained(start))
    comparisons = found.compare(list(config.gold))
    records = [_run_record(run, scored) for run in wanted]
    pools = start.pools
    n_prompts = len(next(iter(pools.values())))
    return Bench(
        title=config.title or f"Reward designs for {config.id}",
        verdict=give_verdict(
            designs,
            comparisons,
            records,
            list(config.gold),
            common,
            audits,
            found.best_of([name for name in config.designs if name in scored]),
            tell_of_shared_faults(config.designs, config.gold),
            _tell_of_limits(config, designs, n_prompts),
        ),
        designs=tuple(designs),
        metrics=tuple(metrics),
        matrix={name: found.row(name, scored[name].scores, metrics) for name in scored},
        curves=tuple(
            found.curve(name, metric)
            for name in scored
            for metric in ([name, GOLD] if name in config.designs else [GOLD])
        ),
        matched_kl=common,
        matched_kl_by_token=by_token,
        comparisons=comparisons,
        runs=tuple(records),
        samples=_samples(config, start, scored, n_prompts),
        audits=audits,
        n_prompts=n_prompts,
        noise=measure_noise({name: gains.final(GOLD) for name, gains in found.gains.items()}),
        config=config.model_dump(mode="json"),
        versions=versions(),
        run_s=sum(run.wall_s for run in start.runs.values()) + sum(r.wall_s for r in records),
        best_of_n=tuple(
            make_best_of_n(name, {metric: pools[metric] for metric in (name, *config.gold)})
            for name in config.designs
        ),
    )


def _tell_of_limits(config: BenchConfig, designs: Sequence[Design], n_prompts: int) -> list[str]:
    """Says what about the runs kept them from telling anything: come first, before the results."""
    found = []
    kls = [design.kl.mean for design in designs if design.kind == "design"]
    if kls and max(map(abs, kls)) < _STILL:
        n_episodes = config.train_config(None, config.seeds[0]).n_episodes
        iterations = -(-config.budget // n_episodes)
        found.append(
            f"No run moved the policy (KL {max(kls):.2f} nats): {config.budget} episodes are "
            f"{iterations} iteration{'s' * (iterations != 1)}; raise budget or train.learning_rate."
        )
    if n_prompts < config.prompts:
        found.append(
            f"The {config.split} split has {n_prompts} prompts, not the {config.prompts} asked "
            "for: give more rows."
        )
    return found


def _conclude_design(
    name: str,
    config: BenchConfig,
    found: BenchGains,
    scored: ScoredDesign,
    at_kl: Effect | None,
    at_kl_by_token: Effect | None,
) -> Design:
    own, gold, fall = found.own(name), found.gold(name), found.fall(name)
    judgement = _judge(found, name, GOLD)
    return Design(
        name=name,
        kind="design",
        spec=config.designs[name],
        judgement=judgement,
        words=describe(judgement, own, gold, found.lag(name), fall),
        by_gold={metric: _judge(found, name, metric) for metric in config.gold},
        own_gain=own.estimate(),
        gold_gain=gold.estimate(),
        hacking_index=found.hacking_index(name).estimate(),
        gold_at_matched_kl=None if at_kl is None else at_kl.estimate(),
        gold_at_matched_kl_by_token=None if at_kl_by_token is None else at_kl_by_token.estimate(),
        kl=estimate_divergence(scored.final_kl),
    )


def _judge(found: BenchGains, name: str, gold: str) -> Judgement:
    return judge(
        found.own(name),
        found.gold(name, gold),
        found.hacking_index(name, gold),
        found.lag(name, gold),
        found.fall(name, gold),
    )


def _control(found: BenchGains, scored: ScoredDesign) -> Design:
    words = "Every episode is paid a random number, which shows the effect of training alone."
    gold = found.gold_since_start(RANDOM).estimate()
    kl = estimate_divergence(scored.final_kl)
    return Design(RANDOM, "control", RANDOM, "control", words, {}, None, gold, None, None, None, kl)


def _untrained(start: Start) -> Design:
    zero = Estimate(0.0, (0.0, 0.0))
    n_prompts, n_samples = next(iter(start.pools.values())).shape
    words = f"The start of every run: {n_samples} samples of each of {n_prompts} prompts."
    return Design(
        UNTRAINED, "control", None, "control", words, {}, None, zero, None, None, None, zero
    )


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
