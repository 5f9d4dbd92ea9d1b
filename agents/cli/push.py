"""The command `textenv push`: a run's model on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textenv.cli.terminal import make_console
from textenv.errors import ConfigError


def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run of textenv train.")],
    repo: Annotated[
        str,
        typer.Argument(metavar="REPO", help="NAME/REPO on the Hub, or REPO for one of your own."),
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Make a new repository private.")
    ] = False,
    best: Annotated[
        bool, typer.Option("--best", help="The best agent by validation reward, not the last.")
    ] = False,
    with_run: Annotated[
        bool,
        typer.Option(
            "--with-run",
            help="The run's other files, too, in run/: its configuration, metrics, texts, report "
            "and the state of the optimizer.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Upload the model of a run, with its card, to the Hugging Face Hub.

    The files are listed, and nothing is sent before you agree. Log in with hf auth login, or set
    HF_TOKEN.
    """
    from agents.ppo.model_card import CARD
    from agents.training.push import find_upload, upload
    from textenv.report.numbers import format_bytes

    found = find_upload(run, best, with_run)
    console = make_console()
    where = "a private repository" if private else "a repository that everybody can read"
    console.print(f"To {repo} ({where}, unless it exists already):", markup=False)
    for name, size in found.files:
        console.print(f"  {name}  {format_bytes(size)}", markup=False)
    console.print(f"{len(found.files)} files, {format_bytes(found.n_bytes)}.")
    if CARD not in dict(found.files):
        console.print(f"There is no {CARD}, so the model will have no card.")
    if not (yes or _is_agreed()):
        raise ConfigError("Nothing was uploaded, since you did not agree. --yes does not ask.")
    console.print(f"Uploaded: {upload(found, repo, private)}", markup=False)


def _is_agreed() -> bool:
    try:
        return typer.confirm("Upload them?")
    except typer.Abort as error:
        # Ctrl-C; or there is nobody to answer.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        typer.echo()
        return False
