"""The group of commands `textenv rewards`, with `list` and `report`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from textenv.cli.agree import EPILOG, agree_with_people
from textenv.cli.arguments import AsJson
from textenv.cli.console import Commands, print_json
from textenv.cli.score import score_file
from textenv.cli.sheet import make_sheet
from textenv.cli.terminal import make_console
from textenv.rewards.catalog import REWARDS, NamedReward
from textenv.safe_text import for_terminal
from textenv.storage.whole_files import write_whole

GROUP = "rewards"


def make_rewards_app() -> typer.Typer:
    """Builds the group; other packages add theirs by `find_rewards_app`."""
    app = typer.Typer(cls=Commands, no_args_is_help=True, help="Score with rewards; test rewards.")
    app.command("list")(list_rewards)
    app.command("score")(score_file)
    app.command("agree", epilog=EPILOG)(agree_with_people)
    app.command("sheet")(make_sheet)
    app.command("report")(render_again)
    return app


def find_rewards_app(app: typer.Typer) -> typer.Typer:
    """Returns the group within the whole command line."""
    found = next(group for group in app.registered_groups if group.name == GROUP)
    assert found.typer_instance is not None
    return found.typer_instance


def list_rewards(as_json: AsJson = False) -> None:
    """List the rewards that a name makes."""
    rows = [_summary(name, row) for name, row in REWARDS.items()]
    if as_json:
        print_json(rows)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(row["name"], row["family"], Text(row["description"]))
    make_console().print(table)


def render_again(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR_OR_FILE",
            help="What bench, audit, best-of-n or agree wrote: a folder, or its JSON file.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the page here, alone.",
            show_default="report.html beside the data, with CSV files",
        ),
    ] = None,
) -> None:
    """Render the HTML report of a bench, an audit, a best-of-n or an agreement again."""
    from textenv.benchmark.report import find_record_files, read_record, render_report, write_page

    files = find_record_files(source)
    records = [read_record(file) for file in files]
    if out is None:
        page = write_page(records, files[0].parent, files)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, render_report(records))
        page = out
    typer.echo(for_terminal(str(page)))


def _summary(name: str, row: NamedReward) -> dict[str, Any]:
    description = inspect.getdoc(row.load_factory()) or ""
    return {
        "name": name,
        "family": row.family,
        "description": description.partition("\n")[0],
        "reads": list(row.reads),
        "bounds": list(row.bounds),
        "agrees_with": row.agrees_with,
        "extra": row.extra,
    }
