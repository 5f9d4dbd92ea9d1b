"""The command `rewards agree`: rewards beside what people said of the same texts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from textenv.benchmark.agreement.records import (
    LENGTH,
    LEVELS,
    Agreement,
    Level,
    PreferenceAgreement,
    RatingAgreement,
    RewardAgreement,
    SystemStrength,
)
from textenv.benchmark.agreement.verdict import write_estimate
from textenv.benchmark.statistics import Estimate
from textenv.cli.arguments import AsJson
from textenv.cli.console import parse_specs, print_json
from textenv.cli.progress import track
from textenv.cli.terminal import make_console
from textenv.errors import ConfigError
from textenv.output_paths import check_new_folder

EPILOG = (
    "A row has 'response', 'references' and 'prompt', as for 'rewards score', and columns with "
    "ratings; or 'chosen' and 'rejected'; or 'response_a', 'response_b' and a column that says a, "
    "b or tie. The files of SummEval, REALSumm, BARTScore (with WMT) and UniEval are read as they "
    "are.\n\nExample: textenv rewards agree summeval.jsonl --human relevance --reward rougeL,chrf"
)
_TITLES: dict[Level, str] = {"within": "within items", "pooled": "all texts", "systems": "systems"}


def agree_with_people(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rated texts.")],
    reward: Annotated[
        list[str],
        typer.Option(
            metavar="NAMES|SPEC",
            help="Rewards: 'a,b', a mapping as YAML, or the option several times.",
        ),
    ],
    human: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Column with people's ratings, higher is better. 'a,b' are two annotators of one "
            "rating; given several times, each is a rating of its own.",
        ),
    ] = None,
    item: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column that is equal for texts that answer the same.",
            show_default="item, or the prompt",
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Column with a text's writer.", show_default="system, if any"
        ),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            help=f"Level to compare rewards at: {', '.join(LEVELS)}.",
            show_default="within items, if they have three texts each",
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Resamples behind an interval.")] = 1_000,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option(help="New folder for report.html, agreement.json and CSV files.")
    ] = None,
) -> None:
    """Compare rewards with what people said of the same texts.

    Shows rank correlations within items, over all texts and between systems, with 95 % intervals
    over items and systems; and how well the mere number of words does.
    """
    from textenv.benchmark.agreement.agreement import agree

    if level is not None and level not in LEVELS:
        raise ConfigError(f"There is no level '{level}'. There are: {', '.join(LEVELS)}.")
    if out is not None:
        check_new_folder(out)
    with track("Comparing", None) as report:
        found = agree(
            file,
            parse_specs(reward),
            human or (),
            item=item,
            system=system,
            level=level,
            resamples=resamples,
            seed=seed,
            on_progress=None if as_json else lambda done, total, name: report(done, name, total),
        )
    if out is not None:
        from textenv.benchmark.report import write_report

        write_report(found, out)
    if as_json:
        print_json(asdict(found))
        return
    console = make_console()
    _print_counts(console, found)
    for rating in found.ratings:
        _print_rating(console, rating, found)
    if found.preferences:
        console.print(_preferences_table(found.preferences))
        console.print()
    if found.strengths:
        console.print(_strengths_table(found.strengths))
        console.print()
    console.print(Text(found.verdict, style="bold"))
    if out is not None:
        console.print(Text(f"Written to {out}: report.html to look at.", style="dim"))


def _print_counts(console: Console, found: Agreement) -> None:
    parts = [f"{found.n_texts} texts", f"{found.n_items} items"]
    if found.n_systems is not None:
        parts.append(f"{found.n_systems} systems")
    if found.left_out:
        parts.append(f"{found.left_out} rows left out, without a rating or a score")
    console.print(Text(f"{found.source}: {', '.join(parts)}", style="dim"))
    console.print()


def _print_rating(console: Console, rating: RatingAgreement, found: Agreement) -> None:
    judges = "" if rating.n_annotators == 1 else f", {rating.n_annotators} annotators"
    console.print(Text(f"Kendall's tau with {rating.rating}{judges}", style="bold"))
    # The level that rewards are compared at has its interval, and so have systems: they are few.
    levels = [level for level in LEVELS if level in rating.rewards[0].levels]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("reward", overflow="fold", min_width=10)
    for level in levels:
        table.add_column(_TITLES[level], justify="right", no_wrap=True)
    table.add_column("no length", justify="right", no_wrap=True)
    if "within" in levels:
        table.add_column("pairs", justify="right", no_wrap=True)
    rows = [*rating.rewards, *([rating.annotators] if rating.annotators else [])]
    for row in rows:
        is_baseline = row.reward == LENGTH or row is rating.annotators
        cells = _cells(row, levels, found.level)
        table.add_row(*(Text(cell, style="dim" if is_baseline else "") for cell in cells))
    console.print(table)
    console.print()


def _cells(row: RewardAgreement, levels: list[Level], main: Level) -> list[str]:
    taus = [
        _number(row.levels[level].kendall, with_interval=level in (main, "systems"))
        for level in levels
    ]
    cells = [row.reward, *taus, _number(row.levels[main].kendall_without_length)]
    return [*cells, _number(row.pairwise_accuracy)] if "within" in levels else cells


def _preferences_table(rows: tuple[PreferenceAgreement, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("reward", overflow="fold")
    has_ties = any(row.accuracy_with_ties for row in rows)
    has_systems = any(row.systems_kendall for row in rows)
    for title in ("paid more if preferred", "alike"):
        table.add_column(title, justify="right", no_wrap=True)
    if has_ties:
        table.add_column("with ties", justify="right", no_wrap=True)
    if has_systems:
        table.add_column("systems, tau", justify="right", no_wrap=True)
    for row in rows:
        cells = [row.reward, _number(row.accuracy, with_interval=True), f"{100 * row.tied:.0f} %"]
        if has_ties:
            cells.append(_number(row.accuracy_with_ties, with_interval=True))
        if has_systems:
            cells.append(_number(row.systems_kendall, with_interval=True))
        style = "dim" if row.reward == LENGTH else ""
        table.add_row(*(Text(cell, style=style) for cell in cells))
    return table


def _strengths_table(rows: tuple[SystemStrength, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("system", overflow="fold")
    table.add_column("people prefer it to an average one", justify="right", no_wrap=True)
    table.add_column("pairs", justify="right", no_wrap=True)
    for row in rows:
        chance = _number(row.chance, with_interval=True)
        table.add_row(Text(row.system), Text(chance), Text(str(row.n)))
    return table


def _number(estimate: Estimate | None, *, with_interval: bool = False) -> str:
    if estimate is None:
        return ""
    text = write_estimate(estimate)
    return text if with_interval else text.partition(" ")[0]
