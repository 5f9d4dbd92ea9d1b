"""The console script `textenv`: its own commands, and those of packages that add some."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

import textenv
from textenv.cli.catalog import list_environments, show_environment
from textenv.cli.console import COMMANDS_GROUP, Commands, print_error
from textenv.cli.export import make_export_app
from textenv.cli.openenv import openenv
from textenv.cli.play import play
from textenv.cli.rewards import GROUP, make_rewards_app
from textenv.cli.signals import stop_on_signals
from textenv.cli.terminal import guard_streams
from textenv.errors import ExitCode, TextEnvError
from textenv.registry import register_all
from textenv.secrets import mask_tracebacks


def make_app() -> typer.Typer:
    """Builds the command line.

    A package adds commands by an entry point in the group "textenv.commands": a function that is
    given the `typer.Typer`. It should import what is slow only inside its commands.
    """
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_about)
    app.command("list")(list_environments)
    app.command("show")(show_environment)
    app.command("play")(play)
    app.command("openenv")(openenv)
    app.add_typer(make_rewards_app(), name=GROUP)
    app.add_typer(make_export_app(), name="export")
    for entry_point in entry_points(group=COMMANDS_GROUP):
        try:
            add_commands = entry_point.load()
        except ImportError as error:
            print_error(f"The commands of '{entry_point.value}' cannot be loaded: {error}.")
            continue
        add_commands(app)
    return app


def main() -> None:
    """Runs the command line."""
    mask_tracebacks()
    guard_streams()
    stop_on_signals()
    # Read by OpenMP when torch loads it. By default its threads spin while they wait for each
    # other, so that a training beside other work on the same cores takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # In a file, bars such as that of a model's loading are hundreds of lines.
    if not sys.stderr.isatty():
        for name in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"):
            os.environ.setdefault(name, "1")
    try:
        register_all()
        app = make_app()
    except TextEnvError as error:
        print_error(str(error))
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt as error:
        print_error("Stopped.")
        raise SystemExit(ExitCode.INTERRUPTED) from error
    app(prog_name="textenv")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"textenv {textenv.__version__}")
        raise typer.Exit


def _about(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Text tasks as Gymnasium environments, and agents whose policy is a language model.

    Look around with [bold]list[/], [bold]show[/] and [bold]play[/]; improve a language model with
    [bold]train[/]; measure agents with [bold]evaluate[/], and runs with [bold]compare[/]; find the
    right reward with [bold]rewards[/].
    """
