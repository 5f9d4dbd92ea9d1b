"""The command `rewards report`: renders the page of a benchmark again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def render_again(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR_OR_FILE",
            help="What bench, audit or best-of-n wrote: a folder, or its JSON file.",
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
    """Render the HTML report of a bench, an audit or a best-of-n again."""
    from textenv.benchmark.report import find_record_files, read_record, render_report, write_page

    files = find_record_files(source)
    records = [read_record(file) for file in files]
    if out is None:
        page = write_page(records, files[0].parent, files)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(render_report(records), encoding="utf-8")
        page = out
    typer.echo(page)
