"""The command `textenv report`: the page of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textenv.safe_text import for_terminal


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run of textenv train.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the page here, alone.",
            show_default="report.html in the folder",
        ),
    ] = None,
) -> None:
    """Render the HTML report of a training run again.

    textenv train writes it when a run ends or stops. This one also shows a run that was killed, or
    that still trains.
    """
    from agents.training.report import write_run_report
    from textenv.output_paths import check_file

    if out is not None:
        check_file(out)
    typer.echo(for_terminal(str(write_run_report(run, out))))
