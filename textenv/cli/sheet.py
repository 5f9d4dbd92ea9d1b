"""The command `rewards sheet`: blinded pairs of outputs for people to judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from textenv.cli.terminal import make_console
from textenv.errors import ConfigError
from textenv.output_paths import check_file


def make_sheet(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of 'textenv train' or 'rewards bench'."),
    ],
    out: Annotated[Path, typer.Option(help="New CSV file; its key is written beside it.")],
    pairs: Annotated[int, typer.Option(min=1, help="Most pairs to write.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the choice and of the order.")] = 0,
) -> None:
    """Write pairs of outputs for people to judge, without saying who wrote them.

    They fill the column 'preferred' with a, b or tie. 'textenv rewards agree' then compares
    rewards with them, and says which policy they prefer.
    """
    from textenv.benchmark.agreement.sheet import PREFERRED, key_of, write_sheet

    if out.suffix.lower() != ".csv":
        raise ConfigError(f"The sheet is a CSV file: let --out end in .csv, not '{out.name}'.")
    if out.exists():
        raise ConfigError(f"'{out}' already exists, perhaps with judgements. Choose another --out.")
    check_file(out)
    n = write_sheet(runs, out, pairs, seed)
    console = make_console()
    console.print(Text(f"{n} pairs in {out}; who wrote them stands in {key_of(out)}."))
    console.print(Text(f"When the column '{PREFERRED}' is filled with a, b or tie:"))
    console.print(Text(f"  textenv rewards agree {out} --human {PREFERRED} --reward rougeL,chrf"))
