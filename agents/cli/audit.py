"""The command `rewards audit`: a reward under attack, in a table and as a report.

Slow imports are inside the functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.training.model_lookup import find_model, pick_device
from textenv.benchmark.audit import METRICS, MOST_MS, OnProgress, audit
from textenv.benchmark.results import Audit, Outcome, Probe
from textenv.benchmark.severities import load_severities
from textenv.benchmark.statistics import Estimate
from textenv.cli.arguments import AsJson, Dataset, RewardText
from textenv.cli.console import parse_spec, print_json
from textenv.cli.progress import track
from textenv.cli.terminal import make_console
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.registry import environment_row
from textenv.rollout import silent as silent_progress
from textenv.tokenization import EMBEDDED
from textenv.vector import environment_arguments, make_core

if TYPE_CHECKING:
    from textenv.benchmark.learnability import PolicySamples

_NONE = "none"
_SLOTS = 64  # episodes that are sampled at a time
_PROMPTS, _SAMPLES = 64, 8
_MARKS = {True: ("too near", "red"), False: ("below", "green"), None: ("", "")}
_KINDS = {
    "lazy": "lazy needs no skill",
    "wrong": "wrong says something else in the words of a good answer",
    "same": "same is a good answer in another form",
    "near": "near is one that is cut, doubled or oddly encoded, and decides nothing",
}
_MEANINGS = {
    "too near": "paid nearly as much as the reference, or more, which it should not be",
    "below": "paid clearly less than the reference, as it should be",
    "paid": "a good answer that is paid nearly as much as the reference, as it should be",
    "too far": "a good answer that is paid much less than the reference",
}
_STYLES: dict[Outcome, str] = {
    "holds": "green",
    "warns": "yellow",
    "fails": "bold red",
    "unknown": "dim",
}

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
            show_default=f"2000, if a score takes at most {MOST_MS:g} ms",
        ),
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            help=f"The model that is to be trained: as for textenv train, or '{_NONE}'. It answers "
            f"{_PROMPTS} prompts {_SAMPLES} times."
        ),
    ] = EMBEDDED,
    severities: Annotated[
        Path | None,
        typer.Option(help="A YAML file that says otherwise how much a finding matters."),
    ] = None,
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html, the JSON and the CSV files.")
    ] = None,
) -> None:
    """Ask whether a reward may be trained on; no training.

    Three questions. What do lazy texts earn, which need no skill: empty, copied, repeated ones, and
    the best rule from prompt to text that a search finds? What do wrong texts earn, which have the
    words of a good answer without its meaning? Can a policy learn: do its samples differ in what
    they earn?
    """
    if out is not None:
        try:  # before the work, not after it
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"The folder '{out}' cannot be made: {error.strerror}.") from error
    spec, levels = parse_spec(reward), load_severities(severities)
    model, acting = (EMBEDDED, {}) if policy == _NONE else find_model(policy)
    core = _make_core(source, parse_spec(dataset), spec, model)
    samples = None if policy == _NONE else _sample(model, acting, core, split, silent=as_json)
    with _track(silent=as_json) as on_progress:
        result = audit(
            core.reward if spec is None else spec,
            core,
            n_examples=examples,
            split=split,
            metrics=[name.strip() for name in metrics.split(",") if name.strip()],
            budget=budget,
            policy=samples,
            severities=levels,
            dataset=f"{source}, {dataset}" if dataset else source,
            on_progress=on_progress,
        )
    if out is not None:
        from textenv.benchmark.report import write_report

        write_report(result, out)
    if as_json:
        print_json(asdict(result))
        return
    console = make_console()
    _print_audit(console, result)
    if result.search is None and budget is None:
        why = _reason_not_to_search(result)
        console.print(Text(f"No rules were searched for: {why}.", style="dim"))


def _sample(
    model: str, acting: dict[str, Any], core: TextCore, split: str | None, *, silent: bool
) -> PolicySamples:
    """Has the model answer some prompts several times."""
    import torch

    from agents.reward_bench.best_of_n import sample_pool
    from agents.training.held_out import load_policy
    from textenv.benchmark.learnability import PolicySamples
    from textenv.benchmark.probe_episodes import ALL_SPLITS

    played = "test" if split == ALL_SPLITS else split or core.split
    n_prompts = min(_PROMPTS, len(core.dataset(played)))
    policy = load_policy(model, core, pick_device("auto"), **acting)
    torch.manual_seed(0)
    with (
        nullcontext(silent_progress)
        if silent
        else track("Sampling", n_prompts * _SAMPLES) as report
    ):
        episodes = sample_pool(policy, core, played, n_prompts, _SAMPLES, report)
    return PolicySamples(model, episodes, _SAMPLES)


def _reason_not_to_search(result: Audit) -> str:
    """Says why rules were not searched for, since nobody asked for it."""
    if result.ms_per_episode > MOST_MS:
        took = f"{result.ms_per_episode:.3g} ms"
        return f"a score takes {took}. To search all the same: --budget 2000"
    return f"{result.n_examples} examples are too few"


def _make_core(source: str, dataset: Any, reward: Any, model: str) -> TextCore:
    if ":" not in source:
        environment_row(source)
        return make_core(source, _SLOTS, environment_arguments(model, dataset, reward))
    if dataset is None or reward is None:
        raise ConfigError(f"The task '{source}' needs --dataset and --reward; an id has its own.")
    arguments = environment_arguments(model, dataset, reward)
    return TextCore(_SLOTS, task=source, **arguments)


@contextmanager
def _track(*, silent: bool) -> Iterator[OnProgress | None]:
    """Shows a progress bar, as the audit reports to it."""
    if silent:
        yield None
        return
    with track("Auditing", None) as report:
        yield lambda done, total, name: report(done, name, total)


def _print_audit(console: Console, result: Audit) -> None:
    console.print(Text(result.verdict, style="bold green" if result.passes else "bold red"))
    console.print()
    answers = Table.grid(padding=(0, 2))
    answers.add_column(no_wrap=True)
    answers.add_column(overflow="fold")
    for part in result.parts:
        answers.add_row(
            Text(f"{part.name}: {part.outcome}", style=_STYLES[part.outcome]), part.words
        )
    console.print(answers)
    console.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("text", "kind"):
        table.add_column(name, no_wrap=True)
    for name in ("score", "reference - text", "wins", "n"):
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
    for words in _legend(result):
        console.print(Text(words, style="dim"))
    for probe in result.probes:
        if probe.note:
            console.print(Text(f"{probe.name}: {probe.note}", style="dim"))
    console.print()
    correlations = ", ".join(f"{name} {rho:.2f}" for name, rho in result.correlations.items())
    console.print(Text(f"Rank correlation over all texts: {correlations or 'none'}."))
    console.print(Text(f"Cost: {result.ms_per_episode:.3g} ms per episode."))


def _legend(result: Audit) -> list[str]:
    """Says what the columns and words of the table mean, as far as they occur."""
    scored = [probe for probe in result.probes if probe.score is not None]
    kinds = [meaning for kind, meaning in _KINDS.items() if any(p.kind == kind for p in scored)]
    marks = [_mark(probe) for probe in scored]
    return [
        f"kind: {'; '.join(kinds)}.",
        "wins: how often the reference scores above the text, 0.50 where neither is ahead.",
        *(f"{mark}: {meaning}." for mark, meaning in _MEANINGS.items() if mark in marks),
    ]


def _mark(probe: Probe) -> str:
    if probe.kind == "same":
        return {True: "too far", False: "paid", None: ""}[probe.at_fault]
    return _MARKS[probe.at_fault][0]


def _row(probe: Probe) -> tuple[Text, ...]:
    assert probe.score is not None
    assert probe.reference_minus_probe is not None
    assert probe.auc is not None
    mark, style = _mark(probe), _MARKS[probe.at_fault][1]
    difference = probe.reference_minus_probe
    cells = (
        probe.name,
        probe.kind,
        _mean(probe.score),
        # How often the reference wins; the interval is in the report: a terminal has 80 columns.
        f"{difference.mean:+z.2f} [{difference.ci95[0]:+z.2f}, {difference.ci95[1]:+z.2f}]",
        f"{probe.auc.mean:.2f}",
        str(probe.n),
        mark,
    )
    return tuple(
        Text(cell, style=style if probe.at_fault or cell == mark else "") for cell in cells
    )


def _mean(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f}"
