"""The command `textenv serve`: a local page of runs that updates while they train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_PORT = 8765


def serve(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN ...]",
            help="Folders of runs of textenv train, or folders that hold some.",
            show_default="runs",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 for a free one.")
    ] = DEFAULT_PORT,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = False,
) -> None:
    """Show runs on a local page that updates while they train.

    It lists them, shows the curves of each, compares those that you choose, searches their texts,
    and saves both as CSV. Only this machine can open it, and it changes nothing. Ctrl-C ends it.
    """
    from agents.serve.server import serve as run_server

    def announce(address: str) -> None:
        typer.echo(f"Runs: {address} (Ctrl-C ends it)")
        if open_browser:
            typer.launch(address)

    run_server(runs or [Path("runs")], port, announce)
