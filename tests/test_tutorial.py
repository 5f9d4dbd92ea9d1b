"""The tutorial is true: its code, copied to a folder of its own, gives a working environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# A block whose first line names a file is the text of that file.
FILES = {
    name: f"# {name}\n{text}"
    for name, text in re.findall(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```$", TUTORIAL, re.M | re.S)
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the tutorial's files, whose rows have been made."""
    folder = tmp_path_factory.mktemp("tutorial")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    run(folder, "make_sentences.py")
    return folder


def run(folder, *arguments, input="", **variables):
    """Runs Python in the folder, as somebody outside the project would."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "COLUMNS": "100",
            **variables,
        },
        input=input,
        capture_output=True,
        text=True,
        timeout=120,
    )
    # All that may stand there is what was read of the file.
    said = re.sub(r".*sentences.jsonl: 120 rows read, 120 kept.\nExamples: .*\n", "", done.stderr)
    assert (done.returncode, said) == (0, "")
    return done.stdout


def test_a_task_takes_one_file_of_at_most_40_lines_and_one_row_of_yaml():
    assert len(FILES["reverse.py"].splitlines()) <= 40
    assert FILES["my_envs.yaml"].count("- id:") == 1


def test_it_keeps_the_contract_of_every_environment(folder):
    assert run(folder, "check.py") == ""


def test_it_plays_at_every_action_level(folder):
    played = run(folder, "use.py").splitlines()
    assert [line.split()[0] for line in played] == ["token", "text", "select"]
    assert all(0 <= float(line.split()[1]) <= 1 for line in played)


def test_the_command_line_finds_it_by_the_environment_variable(folder):
    commands = re.findall(r"^(export .*|textenv .*)$", TUTORIAL, re.M)
    assert commands[0] == "export TEXTENV_REGISTRY=my_envs.yaml"
    assert "textenv play MyReverse-v0" in commands
    textenv = ("-m", "textenv")
    shown = run(folder, *textenv, "show", "MyReverse-v0", TEXTENV_REGISTRY="my_envs.yaml")
    prompt = re.search(r"Reverse the words: (.*)", shown)[1].strip()
    answer = " ".join(reversed(prompt.split()))
    assert answer in shown
    played = run(
        folder,
        *textenv,
        "play",
        "MyReverse-v0",
        "--index",
        "0",
        TEXTENV_REGISTRY="my_envs.yaml",
        input=f"{answer}\nn\n",
    )
    assert "reward 1.000" in played
