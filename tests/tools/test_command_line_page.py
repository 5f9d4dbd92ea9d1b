"""The page of the command line tells of every command and option that there is."""

from __future__ import annotations

import re

import pytest
import typer

from textenv.cli.main import make_app
from tools.docs_pages.command_line import _markdown, render_command_line


@pytest.fixture(scope="module")
def sections():
    """Command -> its section of the page."""
    _, *parts = re.split(r"^## (.*)$", render_command_line(), flags=re.M)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def leaves(group, path="textenv"):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_has_a_section_with_each_of_its_options(sections):
    commands = dict(leaves(typer.main.get_command(make_app())))
    assert list(sections) == list(commands)
    assert {"textenv train", "textenv rewards audit"} <= set(commands)
    for name, command in commands.items():
        shown = {opt for param in command.params for opt in param.opts if opt.startswith("--")}
        cells = " ".join(re.findall(r"^\| `(--[^`]*)`", sections[name], re.M))
        assert shown <= {*re.findall(r"--[\w-]+", cells), "--help"}


def test_commands_with_keys_lead_to_the_page_of_options(sections):
    with_keys = [name for name, text in sections.items() if "[options.md](options.md)" in text]
    assert with_keys == ["textenv train", "textenv sft"]


def test_marks_of_the_terminal_become_markdown():
    text = "[bold]Agents[/]\n\n[bold]lead[/]: the `first` one\n\n[bold]gold[/]: a_b\n\nMore."
    assert _markdown(text) == "Agents\n\n- `lead`: the `first` one\n- `gold`: a\\_b\n\nMore."
    assert _markdown(None) == ""
