"""The command `rewards audit`: a reward under attack, in a table and as a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from textenv.benchmark.adversary.adversary import BUDGET, EXAMPLES, LEAST_EXAMPLES, find_strategy
from textenv.benchmark.audit import METRICS, OnProgress, audit
from textenv.benchmark.results import Audit, Probe
from textenv.benchmark.statistics import Estimate
from textenv.cli.arguments import AsJson, Dataset, RewardText
from textenv.cli.console import parse_spec, print_json
from textenv.cli.progress import track
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.registry import environment_row
from textenv.tokenization import EMBEDDED
from textenv.vector import environment_arguments, make_core

_MOST_MS = 3.0  # a slower score, by a model or an endpoint, is not asked for 100,000 times unasked
_PASSES = {True: ("too near", "red"), False: ("below", "green"), None: ("", "dim")}

Source = Annotated[
    str,
    typer.Argument(
        metavar="ID_OR_TASK", help="Environment id, or a task as 'module:Class' with --dataset."
    ),
]


def audit_reward(
    source: Source,
    reward: RewardText = None,
    dataset: Dataset = None,
    examples: Annotated[int, typer.Option(help="How many examples to draw.")] = 500,
    split: Annotated[
        str | None,
        typer.Option(help="train, validation, test or all.", show_default="the environment's"),
    ] = None,
    metrics: Annotated[
        str, typer.Option(help="Rewards to correlate with, with commas between them.")
    ] = ",".join(METRICS),
    budget: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Rules that the search may try; 0 for no search.",
            show_default=f"{BUDGET}, if a score takes at most {_MOST_MS:g} ms",
        ),
    ] = None,
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html, the JSON and the CSV files.")
    ] = None,
) -> None:
    """Attack a reward with texts that should not be paid; no training.

    Empty, copied, repeated, shuffled, denied and other texts are built from the examples and
    scored beside the human reference. The verdict says which of them come too near. Then a search
    looks for the rule from prompt to text that earns most without understanding anything.
    """
    if out is not None:
        try:  # before the work, not after it
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"The folder '{out}' cannot be made: {error.strerror}.") from error
    spec = parse_spec(reward)
    core = _make_core(source, parse_spec(dataset), spec)
    with _track(silent=as_json) as on_progress:
        result = audit(
            core.reward if spec is None else spec,
            core,
            n_examples=examples,
            split=split,
            metrics=[name.strip() for name in metrics.split(",") if name.strip()],
            dataset=f"{source}, {dataset}" if dataset else source,
            on_progress=on_progress,
        )
    found = None
    unasked = None if budget is not None else _reason_not_to_search(result)
    if budget is None:
        budget = BUDGET if unasked is None else 0
    if budget:
        with _track(silent=as_json, description="Searching", pause_s=5.0) as on_progress:
            found = find_strategy(
                core.reward if spec is None else spec,
                core,
                budget=budget,
                n_examples=min(examples, EXAMPLES),
                split=split,
                dataset=result.dataset,
                on_progress=on_progress,
            )
    if out is not None:
        from textenv.benchmark.report import write_report

        write_report([result] if found is None else [result, found], out)
    if as_json:
        print_json(asdict(result) | {"search": None if found is None else asdict(found)})
        return
    console = Console(highlight=False)
    _print_audit(console, result)
    if unasked is not None:
        console.print(Text(f"No rules were searched for: {unasked}.", style="dim"))
    if found is not None:
        console.print()
        console.print(Text(found.verdict, style="bold green" if found.passes else "bold red"))


def _reason_not_to_search(result: Audit) -> str | None:
    """Says why rules are not searched for unless it is asked for; None where they are."""
    if result.n_examples < LEAST_EXAMPLES:
        return f"it takes {LEAST_EXAMPLES} examples"
    if result.ms_per_episode > _MOST_MS:
        took = f"{result.ms_per_episode:.3g} ms"
        return f"a score takes {took}. To search all the same: --budget {BUDGET}"
    return None


def _make_core(source: str, dataset: Any, reward: Any) -> TextCore:
    if ":" not in source:
        environment_row(source)
        return make_core(source, 1, environment_arguments(EMBEDDED, dataset, reward))
    if dataset is None or reward is None:
        raise ConfigError(f"The task '{source}' needs --dataset and --reward; an id has its own.")
    return TextCore(1, task=source, dataset=dataset, reward=reward)


@contextmanager
def _track(
    silent: bool, description: str = "Probes", pause_s: float = 0.0
) -> Iterator[OnProgress | None]:
    """Shows a progress bar, as the audit reports to it."""
    if silent:
        yield None
        return
    with track(description, None, pause_s) as report:
        yield lambda done, total, name: report(done, name, total)


def _print_audit(console: Console, result: Audit) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("text", "kind"):
        table.add_column(name, no_wrap=True)
    for name in ("score", "reference - text", "AUC", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    n = str(result.n_examples)
    human = ("human reference", "", _mean(result.ceiling), "", "", n, "")
    scored = [probe for probe in result.probes if probe.score is not None]
    above = [p for p in scored if p.score is not None and p.score.mean > result.ceiling.mean]
    for probe in above:
        table.add_row(*_row(probe))
    table.add_row(*(Text(cell, style="bold") for cell in human))
    for probe in scored[len(above) :]:
        table.add_row(*_row(probe))
    console.print(table)
    for probe in result.probes:
        if probe.note:
            console.print(Text(f"{probe.name}: {probe.note}", style="dim"))
    console.print()
    correlations = ", ".join(f"{name} {rho:.2f}" for name, rho in result.correlations.items())
    console.print(Text(f"Rank correlation over all texts: {correlations or 'none'}."))
    console.print(Text(f"Cost: {result.ms_per_episode:.3g} ms per episode."))
    console.print()
    console.print(Text(result.verdict, style="bold green" if result.passes else "bold red"))


def _row(probe: Probe) -> tuple[Text, ...]:
    assert probe.score is not None
    assert probe.reference_minus_probe is not None
    assert probe.auc is not None
    mark, style = _PASSES[probe.too_near]
    difference = probe.reference_minus_probe
    cells = (
        probe.name,
        probe.kind,
        _mean(probe.score),
        # The interval of the AUC is in the report: a terminal has 80 columns.
        f"{difference.mean:+.2f} [{difference.ci95[0]:+.2f}, {difference.ci95[1]:+.2f}]",
        f"{probe.auc.mean:.2f}",
        str(probe.n),
        mark,
    )
    return tuple(
        Text(cell, style=style if probe.too_near or cell == mark else "") for cell in cells
    )


def _mean(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f}"
