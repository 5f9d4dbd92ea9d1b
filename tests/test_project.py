"""The project as a whole: what importing costs, what is public, what ships."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from textenv.registry import registry_path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_importing_textenv_loads_nothing_heavy():
    code = (
        "import sys, textenv\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'sacrebleu', 'pyarrow',"
        " 'stable_baselines3', 'PIL', 'scipy', 'agents'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_importing_textenv_prints_nothing_and_registers_its_environments():
    code = "import textenv, gymnasium; gymnasium.spec('TextSummarize-v0')"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("package", ["textenv", "agents"])
def test_every_public_name_exists_once_and_in_order(package):
    module = importlib.import_module(package)
    names = list(getattr(module, "__all__", []))
    assert names == sorted(set(names))
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", ["textenv", "agents"])
def test_the_packages_are_this_projects_own(package):
    found = Path(str(importlib.import_module(package).__file__)).resolve()
    assert found == ROOT / package / "__init__.py"


def test_no_test_folder_is_a_package_that_could_shadow_ours():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_registry_file_stands_at_the_root_and_ships_inside_the_wheel():
    forced = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert forced["envs_registry.yaml"] == "textenv/envs_registry.yaml"
    assert registry_path() == ROOT / "envs_registry.yaml"


def test_the_version_is_said_once_more_and_equally():
    assert importlib.import_module("textenv").__version__ == PROJECT["project"]["version"]


def test_every_direct_dependency_has_a_tested_version():
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["docs"]]
    assert [name for name in wanted if re.split(r"\[|>=", name)[0] not in pinned] == []
    assert not any("+" in version for version in pinned.values())


def test_the_citation_is_complete_and_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format asks
    assert citation["cff-version"] == "1.2.0"
    assert str(citation["version"]) == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["authors"] == [{"name": "textenv contributors"}]


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda p: p.name
)
def test_an_issue_form_has_what_github_asks_for(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    for field in form["body"]:
        assert field["type"] in {"markdown", "input", "textarea", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        if field["type"] == "checkboxes":
            assert all(option["label"] for option in field["attributes"]["options"])
