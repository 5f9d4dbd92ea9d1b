"""The packages that the project needs: each is declared, has its reason, and is really used."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OWN = ("textenv", "agents")
# Imported though not declared: each comes with a package that is.
COMES_WITH = {
    "certifi": "wandb",
    "fastapi": "openenv",
    "huggingface-hub": "transformers",
    "markupsafe": "jinja2",
    "pydantic-core": "pydantic",
    "referencing": "jsonschema",
    "requests": "wandb",
    "sympy": "math-verify",
}
# Asked for by name in an error, where an option needs it; verl, which loads our adapter itself; and
# what a notebook brings along.
NOT_DECLARED = {"ipython", "nltk", "verl"}


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-")


RUNTIME = {name_of(text) for text in PROJECT["dependencies"]}
EXTRAS = {name: set(map(name_of, of)) for name, of in PROJECT["optional-dependencies"].items()}
OPTIONAL = set().union(*(of for name, of in EXTRAS.items() if name not in ("dev", "docs")))


def imported() -> set[str]:
    """Returns the top modules of other projects that the two packages import."""
    found = set()
    for package in OWN:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {name.name.partition(".")[0] for name in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(OWN)


@pytest.fixture(scope="module")
def used() -> set[str]:
    """The names of the projects whose modules are imported."""
    of_modules = importlib.metadata.packages_distributions()
    return {
        name_of(of_modules[module][0]) if module in of_modules else module.replace("_", "-")
        for module in imported()
    }


def test_every_runtime_dependency_is_imported(used):
    assert RUNTIME - used == set()


def test_everything_that_is_imported_is_declared_or_comes_with_what_is(used):
    declared = RUNTIME | OPTIONAL
    assert used - declared - set(COMES_WITH) - NOT_DECLARED == set()
    assert set(COMES_WITH) - used == set(), "no longer imported"
    assert set(COMES_WITH.values()) <= declared


@pytest.mark.parametrize(("name", "parent"), COMES_WITH.items())
def test_it_really_comes_with_its_parent(name, parent):
    below, seen = [parent], set()
    while below:
        project = below.pop()
        try:
            wanted = importlib.metadata.requires(project) or []
        except importlib.metadata.PackageNotFoundError:
            if project == parent:
                pytest.skip(f"{parent} is not installed")
            continue  # only on other machines
        found = {name_of(text) for text in wanted if "extra ==" not in text} - seen
        seen |= found
        below += found
    assert name in seen


def test_contributing_says_what_each_runtime_dependency_is_for():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## Dependencies\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \|$", section, re.M)
    assert [name for name, _ in rows] == sorted(RUNTIME)
    assert all(len(reason) > 15 for _, reason in rows)


def test_the_faq_lists_every_extra():
    faq = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    answer = faq.partition("**Which extras are there?**")[2].partition("\n\n")[0]
    assert [
        name for name in EXTRAS if name not in ("dev", "docs") and f"`{name}`" not in answer
    ] == []
