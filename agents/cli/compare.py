"""The command `textenv compare`: runs beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.cli.display import interval, print_facts
from textenv.chat import shorten
from textenv.cli.arguments import AsJson
from textenv.cli.console import print_json
from textenv.cli.terminal import make_console

if TYPE_CHECKING:
    from agents.training.report.comparison import Comparison

_NAME_CHARS = 8, 7  # of a run in the table, from its start and from its end
_KEYS = 20  # configuration keys that are printed
_VALUE_CHARS = 20, 8


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN ...",
            help="Folders of runs of textenv train. The others are compared with the first.",
        ),
    ],
    last: Annotated[
        bool,
        typer.Option("--last", help="Compare the last agents, not the best by validation reward."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="New folder for an HTML report."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare finished runs on the held-out examples that all were measured on.

    Differences are paired: both agents answered the same examples. Runs with other environments,
    rewards or examples are refused.
    """
    from agents.training.report.comparison import compare_runs
    from agents.training.report.comparison_page import describe_caution, render_comparison
    from textenv.output_paths import check_new_folder
    from textenv.report import REPORT_NAME
    from textenv.storage.whole_files import write_whole

    if out is not None:
        check_new_folder(out)
    comparison = compare_runs(runs, "last" if last else "best")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / REPORT_NAME, render_comparison(comparison))
    if as_json:
        print_json(comparison.to_json())
        return
    console = make_console()
    print_runs(console, comparison)
    print_keys(console, comparison)
    console.print()
    console.print(Text(describe_caution(comparison), style="dim"))
    if out is not None:
        console.print(f"\nTo look at: {out / REPORT_NAME}", markup=False)


def print_runs(console: Console, comparison: Comparison) -> None:
    """Prints a line for each run: its reward, and the difference to the first."""
    n, id = len(comparison.questions), comparison.contestants[0].run.config["id"]
    console.print(Text(f"{id}, {n} held-out examples", style="bold"))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("")
    table.add_column("run", no_wrap=True)
    table.add_column("reward [95 %]", no_wrap=True)
    table.add_column("minus A [95 %]", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in comparison.contestants:
        difference = one.difference
        table.add_row(
            Text(one.letter, style="bold"),
            Text(shorten(one.name, *_NAME_CHARS)),
            Text(interval(one.reward.to_json())),
            Text("" if difference is None else interval(difference.to_json(), signed=True)),
            Text(one.words),
        )
    console.print(table)


def print_keys(console: Console, comparison: Comparison) -> None:
    """Prints the configuration keys that differ, with a value for each run."""
    console.print()
    letters = [one.letter for one in comparison.contestants]
    facts = {
        key: "   ".join(
            f"{letter} {shorten(str(value), *_VALUE_CHARS)}"
            for letter, value in zip(letters, values, strict=True)
        )
        for key, values in list(comparison.keys.items())[:_KEYS]
    }
    if not facts:
        console.print("The runs have the same configuration.")
        return
    print_facts(console, "Configuration keys that differ", facts)
    if len(comparison.keys) > _KEYS:
        console.print(f"  and {len(comparison.keys) - _KEYS} more; --out shows all of them")
