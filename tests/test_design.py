"""The pages name what exists, and the laws of the page of the design are those of the tests."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
PACKAGES = ("textenv", "agents", "tools", "benchmarks")
PATH = re.compile(r"`((?:agents|benchmarks|docs|examples|tests|textenv|tools|\.ci)/[\w./-]*)`")
MODULE = re.compile(r"(?:-m |pkg://)((?:agents|benchmarks|textenv|tools)(?:\.\w+)*)")
PAGES = [path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]]


def defined_in(path):
    """Returns the names that a file defines at its top."""
    names = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {ast.unparse(target) for target in node.targets}
        elif isinstance(node, ast.AnnAssign):
            names.add(ast.unparse(node.target))
    return names


def rows_of(heading):
    """Returns the cells of each row of the table under a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_folder_and_module_that_a_page_names_exists(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = sorted(set(PATH.findall(text)))
    assert [path for path in named if not (ROOT / path).exists()] == []
    modules = sorted(set(MODULE.findall(text)))
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
    if page.name == "design.md":
        assert len(named) > 60


def test_each_step_is_in_the_file_that_it_names():
    steps = rows_of("The data's way")
    assert len(steps) > 20
    missing = [
        f"{path}: {name}"
        for _, file, names in steps
        for path in re.findall(r"`([^`]+)`", file)
        for name in re.findall(r"`(\w+)`", names)
        if name not in defined_in(path)
    ]
    assert missing == []


def test_every_type_and_list_that_it_names_exists():
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    defined = set().union(*map(defined_in, files))
    named = set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+|`[A-Z]\w+`", PAGE))
    named = {name.strip("`") for name in named} - {"LoRA", "NeMo", "VecEnv"}
    assert {"PlayedEpisode", "PPOOptions", "Targets"} <= named
    assert sorted(named - defined) == []


def test_every_room_has_its_line():
    rooms = {
        folder.parent.relative_to(ROOT).as_posix()
        for package in ("textenv", "agents")
        for folder in (ROOT / package).glob("*/__init__.py")
    }
    lines = [first for first, *_ in rows_of("The rooms")]
    assert [room for room in sorted(rooms) if f"`{room}/`" not in lines] == []


def test_rooms_of_agents_import_only_from_rooms_before_them():
    text = PAGE.partition("Within `agents` the order is ")[2].partition(":")[0]
    order = re.findall(r"`(\w+)`", text)
    assert len(order) == 12
    upward = []
    for number, room in enumerate(order):
        for path in (ROOT / "agents" / room).rglob("*.py"):
            imported = re.findall(r"^\s*from agents\.(\w+)", path.read_text("utf-8"), re.M)
            upward += [f"{path.name}: {name}" for name in imported if name in order[number + 1 :]]
    assert upward == []


def test_each_law_names_the_tests_that_assert_it():
    asserted = defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        for number in re.findall(r"def test_law_(\d+)_", path.read_text(encoding="utf-8")):
            asserted[int(number)].add(path.relative_to(ROOT).as_posix())
    listed = {
        int(number): set(re.findall(r"`(tests/[^`]+)`", where))
        for number, _, where in rows_of("Laws")
    }
    assert list(listed) == sorted(listed)
    assert all(listed.values())
    assert {n: files - listed.get(n, set()) for n, files in asserted.items()} == {
        n: set() for n in asserted
    }
