"""The tutorials run as scripts and as notebooks, and their notebooks and pages are in step."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools import tutorials

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = tutorials.scripts()
# What makes each take seconds: a constant of its second cell, and its value here.
SMALL = {
    "1": {},
    "2": {"EPISODES": 128, "EXAMPLES": 8},
    "3": {"EPISODES": 64, "EXAMPLES": 8},
    "4": {"BUDGET": 64, "PROMPTS": 16, "SEEDS": 1},
    "5": {"EPISODES": 64, "EXAMPLES": 4},
    "6": {"STEPS": 288, "EPISODES": 4},
}


def small(path: Path) -> str:
    """Returns a tutorial with small budgets."""
    code = path.read_text(encoding="utf-8")
    for name, value in SMALL[path.name[0]].items():
        code, n = re.subn(rf"^{name} = \d+", f"{name} = {value}", code, flags=re.M)
        assert n == 1, f"{path.name} has no constant {name}."
    return code


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1", **more}


def test_there_are_six_in_order():
    assert [path.name[0] for path in SCRIPTS] == list("123456")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_its_notebook_and_its_page_are_in_step(path):
    book = tutorials.read_script(path)
    written = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    again = "Run `python -m tools.tutorials`."
    assert [(c.cell_type, c.source) for c in written.cells] == [
        (c.cell_type, c.source) for c in book.cells
    ], again
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    assert page == tutorials.render_page(written, path.stem), again
    # What is shown was printed by this code: no cell that prints is without its output.
    for cell in written.cells:
        if cell.cell_type == "code" and re.search(r"^(?:print|plot_)", cell.source, re.M):
            assert cell.outputs, "Run `python -m tools.tutorials --run`."


def test_its_links_lead_to_pages():
    for path in SCRIPTS:
        for link in re.findall(r"\]\((?!\w+:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).is_file(), f"{path.name}: {link}"


def test_the_first_runs_as_a_script(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPTS[0])],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr


def test_progress_in_a_notebook_is_one_line_that_changes(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    code = """\
from textenv.cli.progress import track
with track("Counting", 3) as report:
    for i in range(3):
        report(i + 1, f"at {i}")
"""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    tutorials.play(book)
    (output,) = book.cells[0].outputs
    assert output["data"]["text/plain"].startswith("Counting  3/3  at 2  ")


# In full they were run by whoever wrote their pages: `python -m tools.tutorials --run`.
@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_it_runs_as_a_notebook_with_a_small_budget(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    (tmp_path / path.name).write_text(small(path), encoding="utf-8")
    book = tutorials.read_script(tmp_path / path.name)
    tutorials.play(book)
    assert all(cell.execution_count for cell in book.cells if cell.cell_type == "code")
