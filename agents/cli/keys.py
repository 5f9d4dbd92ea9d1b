"""Help of commands that take key=value words: one line for each key, by group."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from agents.models.options import Options, list_options
from textenv.cli.terminal import make_console

_HIDDEN = ("id", "dataset", "reward", "env")  # set by arguments of the command itself


def command_with_keys(
    record: type[Options], other_defaults: Mapping[str, Mapping[str, Any]] | None = None
) -> type[TyperCommand]:
    """Makes a command class whose help lists the options of a record."""

    class CommandWithKeys(TyperCommand):
        keys = tuple(record.model_fields)

        def format_help(self, ctx: Any, formatter: Any) -> None:  # the types are typer's own
            super().format_help(ctx, formatter)
            console = make_console()
            _print_keys(console, record)
            for what, values in (other_defaults or {}).items():
                defaults = "  ".join(f"{key}={value}" for key, value in values.items())
                console.print(Text(f" With {what}: {defaults}", overflow="fold"))
            console.print()

    return CommandWithKeys


def _print_keys(console: Console, record: type[Options]) -> None:
    for group, options in list_options(record).items():
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(overflow="fold")
        for option in options:
            if option.name not in _HIDDEN:
                # The first clause; docs/options.md has the rest.
                meaning = re.split(r"[;.] ", option.meaning, maxsplit=1)[0]
                table.add_row(f"{option.name}={option.default}", Text(meaning))
        if table.row_count:
            console.print(Text(f" {group}", style="bold"))
            console.print(Padding(table, (0, 0, 0, 1)))
            console.print()
