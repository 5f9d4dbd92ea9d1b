"""Do audit, best-of-n and people's ratings foresee what training on a reward does?

    python -m benchmarks.foresight --out runs/foresight [--human human_summeval.jsonl]

Trains 28 designs on two tasks (foresight.yaml), three seeds of 1,024 episodes each; audits each
with a search, picks the best of n of the untrained policy's samples by it, and asks how it agrees
with people who rated summaries (SummEval's relevance). Then it compares what each of them said with
the trained gain of gold: the cosine of MiniLM's embeddings, which no design counts but those that
hold it with a bias. An hour and a quarter on two cores; what is done is not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from agents.reward_bench.bench import CONFIG_FILE, run_bench
from agents.reward_bench.config import BenchConfig, load_bench_config, parse_bench_config
from agents.reward_bench.plan import BENCH_FILE
from agents.reward_bench.records import load_run
from agents.reward_bench.runs import untrained_runs
from benchmarks.foresight_table import Foresight, table
from textenv.benchmark.adversary.adversary import BUDGET
from textenv.benchmark.agreement.agreement import agree
from textenv.benchmark.agreement.records import LENGTH
from textenv.benchmark.audit import audit
from textenv.benchmark.learnability import PolicySamples
from textenv.benchmark.report import write_report
from textenv.benchmark.results import Audit, Bench, load_record, save_record
from textenv.cli.progress import track
from textenv.rewards import load_reward
from textenv.rewards.base import compute_rewards
from textenv.strict_yaml import load_yaml
from textenv.vector import environment_arguments, make_core

RATED = "summaries"  # the bench whose designs can score SummEval's texts
RATING = "relevance"
N = 16  # of best-of-n
MODEL_BUDGET = 256  # rules that are tried on a design that asks a model; of others, the default


def load_benches() -> dict[str, BenchConfig]:
    """Reads foresight.yaml."""
    values = load_yaml(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    return {name: parse_bench_config(config) for name, config in values["benches"].items()}


def bench_once(config: BenchConfig, folder: Path) -> Bench:
    """Trains and scores the designs, unless that is done with the same configuration."""
    known, asked = folder / BENCH_FILE, folder / CONFIG_FILE
    if known.is_file() and load_bench_config(asked) == config:
        return load_record(Bench, known)
    known.unlink(missing_ok=True)  # should this be interrupted, it is that of another one
    found = run_bench(config, folder, track)
    write_report(found, folder)
    return found


def audit_design(name: str, config: BenchConfig, out: Path) -> Audit:
    """Audits a design with a search and the untrained policy's samples, unless it is done."""
    file = out / "audits" / f"{name}.json"
    if file.is_file():
        return load_record(Audit, file)
    core = make_core(config.id, 1, environment_arguments(config.model))
    starts = [load_run(run.folder, core, config.split) for run in untrained_runs(config, out)]
    looks = [start.looks[0] for start in starts]
    # Scored here: the audit takes the samples of several seeds as those of one policy.
    reward = load_reward(config.designs[name])  # type: ignore[arg-type] # the bench made it
    tables = [
        compute_rewards(reward, look.episodes).total.reshape(-1, look.n_samples) for look in looks
    ]
    pool = np.concatenate(tables, axis=1)
    episodes = [episode for look in looks for episode in look.episodes]
    with track(f"Auditing {name}", None) as report:
        found = audit(
            config.designs[name],  # type: ignore[arg-type]
            core,
            split=config.split,
            n_examples=200,
            metrics=(),
            budget=MODEL_BUDGET if "embedding_cosine" in str(config.designs[name]) else BUDGET,
            policy=PolicySamples(config.model, episodes, pool.shape[1], pool),
            on_progress=lambda done, total, note: report(done, note, total),
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    save_record(replace(found, reward=name), file)
    return found


def ask_people(config: BenchConfig, rated: Path) -> dict[str, float]:
    """Returns each design's Kendall's tau with people within items; none where it has none."""
    taus = {}
    # Intervals are not used: the study's are over designs.
    found = agree(rated, dict(config.designs), RATING, resamples=100)  # type: ignore[arg-type] # JSON that the bench made rewards of
    for row in found.ratings[0].rewards:
        kendall = row.levels["within"].kendall
        if row.reward != LENGTH and kendall is not None:
            taus[row.reward] = kendall.mean
    return taus


def put_together(
    bench: str, found: Bench, audits: Mapping[str, Audit], taus: Mapping[str, float]
) -> list[Foresight]:
    """Puts together what was said of each design before training, and what training did."""
    gold = next(metric for metric in found.metrics if metric.kind == "gold")
    best = {one.proxy: one for one in found.best_of_n}
    rows = []
    for design in found.designs:
        if design.own_gain is None:
            continue
        about, picked = audits[design.name], best[design.name].curves[gold.name]
        sizes = best[design.name].n
        lazy = [p.score.mean for p in about.probes if p.kind == "lazy" and p.score is not None]
        assert about.search is not None
        assert about.policy is not None
        rows.append(
            Foresight(
                bench=bench,
                design=design.name,
                judgement=design.judgement,
                own_gain=design.own_gain,
                gold_gain=design.gold_gain,
                passes=about.passes,
                fails=frozenset(part.name for part in about.parts if part.outcome == "fails"),
                lazy=_share(about, max(lazy)),
                rule=_share(about, about.search.score.mean),
                policy=_share(about, about.policy.score.mean),
                dead=about.policy.dead.mean,
                best_of_n=(picked[sizes.index(N)].mean - picked[0].mean) / gold.sd,
                tau=taus.get(design.name),
            )
        )
    return rows


def _share(about: Audit, score: float) -> float:
    """Returns the share of what a reference earns above the empty text that a text earns."""
    whole = about.ceiling.mean - about.floor.mean
    return (score - about.floor.mean) / whole if whole > 0 else 1.0


def main(
    out: Annotated[Path, typer.Option(help="Folder; what is done in it is not repeated.")],
    human: Annotated[
        Path | None, typer.Option(help="SummEval's ratings, as for textenv rewards agree.")
    ] = None,
    bench: Annotated[
        list[str] | None, typer.Option(help="A bench of foresight.yaml.", show_default="all")
    ] = None,
) -> None:
    """Make what is missing, and print what was foreseen."""
    rows = []
    for name, config in load_benches().items():
        if bench and name not in bench:
            continue
        folder = out / name
        found = bench_once(config, folder)
        audits = {design: audit_design(design, config, folder) for design in config.designs}
        taus = ask_people(config, human) if human is not None and name == RATED else {}
        rows += put_together(name, found, audits, taus)
    Console(highlight=False).print(table(rows), markup=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
