"""Scores and speed of the lexical rewards, beside the packages that they repeat.

    python -m benchmarks.rewards [--data DIR] [--responses 3] [--rounds 7] [--json out.json]

Agreement: on every row of every set of the folder (summaries, translations, answers; without one,
on generated sets), responses of nine kinds: the reference of another row, the source and its lead,
the reference shuffled, cut short, strewn with marks, doubled, broken into lines, and nothing.
Chinese is set apart by characters before it goes to packages that know words alone.

Throughput: 600 responses of 5 to 65 words, the beginnings of documents, with their summaries as
references: finished episodes, as an environment scores them, and plain texts for `textenv.score`
and the peers. Each round times every reward and its peer one after the other, in seconds of the
CPU; a ratio is the median over rounds of the ratios within a round, so that a machine's other work
falls on both.
"""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from benchmarks.measuring import JsonPath, make_table, write_json
from benchmarks.reward_agreement import Agreement, measure_agreement
from benchmarks.reward_texts import KINDS, load_rows, make_texts
from benchmarks.reward_throughput import Speed, make_workload, measure_speeds

TOLERANCE = 1e-6
LEAST_RATIO = 20.0  # of ROUGE-L


def main(
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="A folder of summ_*.jsonl, mt_*.jsonl and qa_*.jsonl; by default generated sets.",
        ),
    ] = None,
    responses: Annotated[
        int, typer.Option(min=1, max=len(KINDS), help="Responses a row, of the nine kinds.")
    ] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="How often each reward is timed.")] = 7,
    json_path: JsonPath = None,
) -> None:
    """Measure the lexical rewards' agreement with their reference packages, and their speed."""
    sets = load_rows(data)
    agreements: list[Agreement] = []
    with Progress(console=Console(stderr=True)) as progress:
        speed_bar = progress.add_task("Timing", total=rounds)
        summaries = next((rows for name, rows in sets.items() if "summ" in name), None)
        workload = make_workload(summaries or next(iter(sets.values())))
        speeds = measure_speeds(workload, rounds, lambda: progress.advance(speed_bar))
        bar = progress.add_task("Comparing", total=len(sets))
        for name, rows in sets.items():
            agreements += measure_agreement(make_texts(name, rows, responses))
            progress.advance(bar)
    _print_agreements(agreements)
    _print_speeds(speeds, rounds)
    packages = ("textenv", "rouge-score", "sacrebleu", "rapidfuzz", "nltk", "numpy")
    figures = {
        "rounds": rounds,
        "machine": {"python": platform.python_version(), "processor": platform.machine()},
        "versions": {name: version(name) for name in packages},
        "agreement": [asdict(agreement) for agreement in agreements],
        "throughput": [asdict(speed) for speed in speeds],
    }
    write_json(json_path, figures)
    if any(agreement.largest_difference > TOLERANCE for agreement in agreements):
        raise typer.Exit(1)


def _print_agreements(agreements: list[Agreement]) -> None:
    title = f"Largest difference over all responses; wanted: {TOLERANCE:g} at most"
    columns = ("reward", "beside", "rows", "scores", "mean", "difference")
    table = make_table(title, *columns, n_names=2)
    groups: dict[tuple[str, str], list[Agreement]] = {}
    for agreement in agreements:
        groups.setdefault((agreement.reward, agreement.peer), []).append(agreement)
    for names, found in groups.items():
        scores = sum(a.n_responses for a in found)
        mean = sum(a.mean * a.n_responses for a in found) / scores
        rows = sum(a.n_rows for a in found)
        worst = max(a.largest_difference for a in found)
        difference = f"{worst:.1e}{'' if worst <= TOLERANCE else '  too much'}"
        table.add_row(*names, f"{rows:,}", f"{scores:,}", f"{mean:.3f}", difference)
    Console().print(table)


def _print_speeds(speeds: list[Speed], rounds: int) -> None:
    columns = ("reward", "ms each", "a second", "peer's", "ratio", "of a round", "wanted")
    table = make_table(f"Throughput, medians of {rounds} rounds", *columns)
    for speed in speeds:
        row = [speed.reward, f"{1e3 / speed.responses_per_s:.3f}", f"{speed.responses_per_s:,.0f}"]
        if speed.ratio is not None:
            row += [f"{speed.peer_responses_per_s:,.0f}", *speed.ratio.cells(1)]
        if speed.reward == "rougeL":
            row += [f"at least {LEAST_RATIO:g}"]
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
