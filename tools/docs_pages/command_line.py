"""The page of the command line, made of the help that `textenv COMMAND --help` prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer
from rich.text import Text

from textenv.cli.main import make_app
from tools.docs_pages.markdown import code, inline, plain, render_page

_ENTRY = re.compile(r"\[bold\](.+?)\[/\]: (.+)", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """What there is to tell of a command."""

    name: str  # as it is typed, such as "textenv rewards audit"
    usage: str
    text: str  # Markdown
    parameters: list[tuple[str, str]]  # Markdown cells: how it is written, what it means
    more: str  # Markdown, after the parameters
    has_keys: bool  # whether it takes options as key=value


def render_command_line() -> str:
    """Returns the page."""
    return render_page("command-line", commands=list(_commands_of(make_app())))


def _commands_of(app: typer.Typer) -> Iterator[Command]:
    group = typer.main.get_command(app)
    yield from _walk(group, group.context_class(group, info_name="textenv"), "textenv")


def _walk(command: Any, context: Any, path: str) -> Iterator[Command]:  # types are typer's own
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        records = [param.get_help_record(context) for param in command.params]
        yield Command(
            path,
            " ".join([path, *command.collect_usage_pieces(context)]),
            _markdown(command.help),
            [(code(names), plain(meaning)) for names, meaning in filter(None, records)],
            _markdown(command.epilog).removesuffix(" Keys:"),
            hasattr(command, "keys"),
        )
        return
    for name, subcommand in subcommands.items():
        inner = subcommand.context_class(subcommand, info_name=name, parent=context)
        yield from _walk(subcommand, inner, f"{path} {name}")


def _markdown(text: str | None) -> str:
    """Returns a text with rich's marks as Markdown; "[bold]name[/]: ..." becomes an entry."""
    paragraphs = []
    for paragraph in (text or "").split("\n\n"):
        entry = _ENTRY.fullmatch(paragraph)
        if entry is None:
            paragraphs.append(_inline(paragraph))
        else:
            paragraphs.append(f"- {code(entry[1])}: {_inline(entry[2])}")
    joined = "\n\n".join(paragraphs)
    return re.sub(r"^(- .*)\n\n(?=- )", r"\1\n", joined, flags=re.MULTILINE)


def _inline(text: str) -> str:
    return inline(Text.from_markup(text).plain)
