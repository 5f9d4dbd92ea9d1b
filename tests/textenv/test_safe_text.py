"""What is printed steers no terminal, and what a spreadsheet opens runs no formula."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
import unicodedata
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import agents
import textenv
from textenv.cli.console import _shown_arguments, print_error, print_json, printed_logs
from textenv.cli.main import main
from textenv.cli.terminal import GuardedStream, guard_streams, make_console
from textenv.errors import ConfigError
from textenv.safe_text import for_csv, for_terminal, in_json

EVIL = "\x1b]52;c;SGk=\x07 \x1b[2J \x9b31m \x08\x7f\r\0 \u202e\u2066\u200f\u061c \ud800 end"
BIDI = [chr(c) for c in range(0x110000) if unicodedata.bidirectional(chr(c)) in
        {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}]  # fmt: skip


def is_plain(text: str) -> bool:
    return all(
        char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs") for char in text
    ) and not set(text) & {*BIDI, "\u200e", "\u200f", "\u061c"}


def test_of_all_characters_only_newline_and_tab_steer():
    text = "".join(map(chr, range(0x110000)))
    shown = for_terminal(text)
    assert len(shown) == len(text)
    assert is_plain(shown)
    changed = {a for a, b in zip(text, shown, strict=True) if a != b}
    assert {unicodedata.category(c) for c in changed} == {"Cc", "Cf", "Cs"}
    assert len(changed) == 32 - 2 + 1 + 32 + len(BIDI) + 3 + 2048
    assert for_terminal("ж 你好 👩‍👩‍👧 é\n\t") == "ж 你好 👩‍👩‍👧 é\n\t"


def test_an_escape_in_json_is_read_as_the_same_text():
    written = in_json(json.dumps(EVIL, ensure_ascii=False))
    assert is_plain(written)
    assert json.loads(written) == EVIL


def test_errors_show_what_they_quote():
    assert is_plain(str(ConfigError(EVIL)))
    assert str(ConfigError("\x1b[2J")) == "␛[2J"


def test_every_way_of_printing_is_filtered(capsys):
    console = make_console()
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    table.add_row(Text(EVIL))
    for what in (EVIL, Text(EVIL), table):
        console.print(what, soft_wrap=True)
    print_error(EVIL)
    print_json({EVIL: EVIL})
    with printed_logs():
        logging.getLogger("textenv").warning(EVIL)
        logging.getLogger("agents.ppo").info("Another: %s", EVIL)
    out, err = capsys.readouterr()
    assert out.count("end") >= 5
    assert err.count("end") == 3
    assert is_plain(out)
    assert is_plain(err)


def test_markup_in_a_text_is_text(capsys):
    make_console().print("[link=http://evil.example]x[/link] [bold]y[/] :smile:")
    assert capsys.readouterr().out == "[link=http://evil.example]x[/link] [bold]y[/] :smile:\n"


@pytest.mark.parametrize(
    "words",
    [
        ["show", EVIL],
        [EVIL],
        ["show", f"--{EVIL}"],
        ["train", "TextSummarize-v0", f"{EVIL}=1"],
        ["train", "TextSummarize-v0", f"seed={EVIL}"],
        ["train", "--resume", f"/no/{EVIL}"],
        ["evaluate", "TextSummarize-v0", "--agent", EVIL],
        ["evaluate", "TextSummarize-v0", "--samples", EVIL],
        ["compare", f"/no/{EVIL}", "/no/b"],
        ["report", f"/no/{EVIL}"],
        ["serve", f"/no/{EVIL}"],
        ["show", "TextSummarize-v0", "--dataset", f"/no/{EVIL}.csv"],
        ["rewards", "score", f"/no/{EVIL}", "--reward", "rougeL"],
        ["rewards", EVIL],
    ],
    ids=lambda words: " ".join(words).encode("unicode_escape").decode()[:40],
)
def test_an_argument_does_not_steer_the_terminal_that_shows_its_error(words, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["textenv", *(w.replace("\0", "") for w in words)])
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code != 0
    out, err = capsys.readouterr()
    assert err.strip()
    assert is_plain(out + err)


def test_what_the_parser_of_arguments_says_is_shown_whatever_it_quotes():
    error = LookupError("quoted")
    error.message = EVIL
    with pytest.raises(LookupError, match="quoted"), _shown_arguments():
        raise error
    assert is_plain(error.message)


class Screen(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_other_libraries_print_is_filtered_but_for_colours_on_a_terminal(is_terminal):
    screen = Screen(is_terminal)
    stream = GuardedStream(screen)
    stream.write(f"\x1b[1;31m{EVIL}\x1b[0m")
    stream.writelines(["\r50%|\x1b[A\n"])
    written = screen.getvalue()
    assert "\x1b]" not in written
    assert "\x1b[2J" not in written
    assert ("\x1b[1;31m" in written) == is_terminal
    assert is_plain(written) != is_terminal


def test_the_streams_are_guarded_once(monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, Screen(False))
    guard_streams()
    first = sys.stdout
    guard_streams()
    assert sys.stdout is first
    assert isinstance(sys.stderr, GuardedStream)
    assert sys.stdout.getvalue() == ""  # all else is the stream's own


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\uff1d", "\t="])
def test_a_cell_that_would_be_a_formula_is_a_text(start):
    assert for_csv(f"{start}1+1") == f"'{start}1+1"


def test_other_cells_stay_as_they_are():
    for value in (-1.5, 3, None, True, "a=1", "", "'x"):
        assert for_csv(value) is value
    assert for_csv("a\ud800") == "a\ufffd"


ROOTS = [Path(package.__file__).parent for package in (textenv, agents)]
FILES = sorted(path for root in ROOTS for path in root.rglob("*.py"))


def calls_of(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


# Where it may stand, and why.
CONSOLE = {"terminal.py"}  # the console that filters
TABLES = {"csv_files.py", "leaderboard_files.py", "sheet.py"}  # give each cell to for_csv


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_prints_or_writes_tables_past_the_filters(path):
    source = path.read_text(encoding="utf-8")
    for function, _ in calls_of(path):
        assert function != "Console" or path.name in CONSOLE
        assert not function.startswith(("rich.print", "csv.writer", "csv.DictWriter")) or (
            path.name in TABLES and "for_csv" in source
        )
        assert function != "print" or path.name == "worker.py"
