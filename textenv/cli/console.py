"""Shared parts of the commands: errors without a traceback, values as text, conversations."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

import gymnasium as gym
import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from textenv.cli.overrides import check_blanks
from textenv.cli.terminal import make_console
from textenv.errors import ConfigError, ExitCode, TextEnvError
from textenv.examples import Turn
from textenv.keys import refuse_secrets
from textenv.registry import EnvironmentKwargs
from textenv.resource_faults import describe_resource_fault
from textenv.safe_text import for_terminal, in_json
from textenv.secrets import mask_text
from textenv.storage.faults import describe_fault
from textenv.strict_yaml import load_yaml

COMMANDS_GROUP = "textenv.commands"  # entry points that add commands
_LOGGERS = ("textenv", "agents")
_SPEAKERS = {
    "system": ("system", "dim"),
    "user": ("environment", "bold"),
    "assistant": ("agent", "bold cyan"),
}


class _Printer(logging.Handler):
    """Prints what the packages log on standard error, each message once."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        # Of several processes of one job the first speaks.
        quiet = os.environ.get("RANK", "0") != "0"
        self._console = make_console(stderr=True, quiet=quiet)
        self._seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = mask_text(record.getMessage())
        if message in self._seen:
            return
        self._seen.add(message)
        is_finding = record.levelno >= logging.WARNING
        text = _marked(message) if is_finding else Text(message, style="dim")
        self._console.print(text, soft_wrap=not self._console.is_terminal)


@contextmanager
def printed_logs() -> Iterator[None]:
    """Prints what the packages log meanwhile."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    if any(isinstance(handler, _Printer) for handler in loggers[0].handlers):
        yield  # a group within the group
        return
    printer, levels = _Printer(), [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(printer)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(printer)
            logger.setLevel(level)


class Commands(TyperGroup):
    """A group of commands whose expected errors are one message on standard error."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Reads the arguments."""
        with _shown_arguments():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Runs a command."""
        try:
            with printed_logs(), _shown_arguments():
                return super().invoke(ctx)
        except (TextEnvError, gym.error.Error) as error:
            print_error(str(error) or type(error).__name__)
            raise typer.Exit(getattr(error, "exit_code", ExitCode.REFUSED)) from error
        except KeyboardInterrupt as error:
            print_error("Stopped.")
            raise typer.Exit(ExitCode.INTERRUPTED) from error
        except SystemExit as error:
            # Commands end by typer.Exit, so this is code that a configuration names.
            print_error(
                f"Code that was called ended the program by sys.exit({error.code!r}): a reward, a "
                "task or a data set must not. There is no result."
            )
            raise typer.Exit(ExitCode.REFUSED) from error
        except Exception as error:
            if (told := _as_fault(error)) is not None:
                print_error(f"{told[0]}.")
                raise typer.Exit(told[1]) from error
            # The class of an unknown option's error is click's, or a private one of typer's.
            option, context = getattr(error, "option_name", None), getattr(error, "ctx", None)
            if option is None or context is None:
                raise
            answer = _as_key(str(option), context.command, sys.argv)
            if answer is None:
                raise
            print_error(answer)
            raise typer.Exit(ExitCode.REFUSED) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Finds the command that the arguments name."""
        name = args[0]
        if self.get_command(ctx, name) is None and not entry_points(group=COMMANDS_GROUP):
            raise ConfigError(
                f"There is no command '{name}' here: commands that train and evaluate are found "
                "once the project is installed. Run 'pip install -e .' in its folder."
            )
        return super().resolve_command(ctx, args)


def _as_fault(error: Exception) -> tuple[str, ExitCode] | None:
    """Describes an error of a disk, memory or a GPU, with its exit status."""
    resource = describe_resource_fault(error)
    if resource is not None:
        return resource, ExitCode.RESOURCES
    # A pipe that nobody reads any more is no fault.
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        fault = describe_fault(error)
        return None if fault is None else (fault, ExitCode.STORAGE)
    return None


@contextmanager
def _shown_arguments() -> Iterator[None]:
    """Filters arguments in the errors that quote them, and that typer prints."""
    try:
        yield
    except Exception as error:
        # The class is click's, or a private one of typer's.
        for name in ("message", "param_hint"):
            text = getattr(error, name, None)
            if isinstance(text, str):
                setattr(error, name, for_terminal(mask_text(text)))
        raise


def _as_key(option: str, command: Any, words: Sequence[str]) -> str | None:
    """Says how an option is written that is a key of a command; None if it is none."""
    if not any("=" in str(param.metavar) for param in command.params):
        return None
    name = option.lstrip("-").replace("-", "_")
    if name in getattr(command, "keys", ()):
        key = name
    elif name.removeprefix("env.") in EnvironmentKwargs.model_fields:
        key = f"env.{name.removeprefix('env.')}"
    else:
        return None
    given = [word for word in words if word.split("=")[0] == option]
    value = "VALUE"
    if given:
        after = words[words.index(given[0]) + 1 :]
        value = given[0].partition("=")[2] or (after[0] if after else value)
    return f"There is no option {option}; keys have no dashes: {key}={value}"


def print_error(message: str) -> None:
    """Prints a message in red on standard error; on one line where nobody reads it on a screen."""
    console = make_console(stderr=True)
    console.print(Text(mask_text(message), style="red"), soft_wrap=not console.is_terminal)


def print_json(data: object) -> None:
    """Prints JSON on standard output, for another program to read."""
    sys.stdout.write(in_json(json.dumps(data, indent=2, ensure_ascii=False)) + "\n")


def parse_spec(text: str | None) -> Any:
    """Reads a dataset or reward given as text: a plain name, or a mapping as YAML or JSON."""
    if text is None or not text.lstrip().startswith("{"):
        return text
    try:
        spec = load_yaml(text)
    except yaml.YAMLError as error:
        problem = f" ({error.problem})" if isinstance(error, yaml.MarkedYAMLError) else ""
        raise ConfigError(
            f"'{text}' is not a valid YAML mapping{problem}; write a data set like "
            "'{path: rows.csv, skip: missing}', a reward like '{rougeL: 1, bleu: 0.5}'."
        ) from error
    refuse_secrets(spec)
    check_blanks(spec)
    return spec


def parse_specs(texts: Iterable[str]) -> list[Any]:
    """Reads several rewards: "a,b" is two of them, a mapping in braces is one."""
    parts = [
        part
        for text in texts
        for part in ([text] if text.lstrip().startswith("{") else text.split(","))
    ]
    return [parse_spec(part.strip()) for part in parts if part.strip()]


def print_turns(console: Console, turns: Iterable[Turn]) -> None:
    """Prints messages, each with its speaker next to it."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    nothing = Text("(nothing)", style="dim italic")
    for turn in turns:
        name, style = _SPEAKERS[turn.role]
        table.add_row(Text(name, style=style), Text(turn.text) if turn.text else nothing)
    console.print(table)


def print_scores(console: Console, total: float, components: Mapping[str, float]) -> None:
    """Prints a reward and its named components."""
    parts = "   ".join(f"{name} {value:.3f}" for name, value in components.items())
    console.print(Text.assemble(("reward", "bold"), f" {total:.3f}   ", (parts, "dim")))


def print_findings(console: Console, findings: Iterable[str]) -> None:
    """Prints what a user should know, each after a mark."""
    for finding in findings:
        console.print(_marked(finding))


def _marked(finding: str) -> Text:
    return Text.assemble(("! ", "bold yellow"), (finding, "yellow"))


def print_heading(console: Console, text: str) -> None:
    """Prints the title of a section, after an empty line."""
    console.print()
    console.print(Text(text, style="bold"))


def print_candidates(console: Console, candidates: Sequence[str]) -> None:
    """Prints replies to choose from, each after its number."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold cyan", justify="right")
    table.add_column(overflow="fold")
    for number, text in enumerate(candidates):
        table.add_row(str(number), Text(text))
    console.print(table)
