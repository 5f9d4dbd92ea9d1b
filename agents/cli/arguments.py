"""Command-line options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path | None, typer.Option(help="New folder.", show_default="runs/ID-DATE-TIME")]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Seed of everything random.", show_default="0")
]
Device = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", show_default="auto")
]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Load the code that the run's configuration names, though no run of yours wrote it.",
    ),
]
