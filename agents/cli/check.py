"""The command `textenv check`: is every file of a run what was written?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textenv.cli.console import print_error
from textenv.errors import ExitCode


def check(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run, or of a saved agent.")
    ],
) -> None:
    """Compare every file of a run with the checksum that it was written with.

    Damaged files are named, one a line, and the exit status is 4.
    """
    from agents.ppo.kept_checkpoints import kept_iterations
    from agents.training.run_check import check_run

    found = check_run(run)
    for text in found.damaged:
        print_error(text)
    for text in found.derived:
        typer.echo(text)
    for path in found.unknown:
        typer.echo(f"'{path}' is not checked: textenv did not write it, or a tracker did")
    if found.damaged:
        earlier = kept_iterations(run)
        if earlier:
            kept = ", ".join(map(str, earlier))
            print_error(f"Earlier checkpoints: {kept} (textenv train --resume {run} --from N).")
        raise typer.Exit(ExitCode.DAMAGED)
    typer.echo(f"All {found.n_whole} files are what was written.")
