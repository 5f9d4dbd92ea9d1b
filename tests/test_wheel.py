"""The archives of a release: what they hold, that they are built alike, that they run installed."""

from __future__ import annotations

import email
import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import textenv
from tools.release import build

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("textenv", "agents")
IGNORED = ("__pycache__", ".pyc")

pytest.importorskip("hatchling", reason="hatchling builds the wheel: pip install -e '.[dev]'")


def run(*command: object, cwd: Path) -> str:
    """Runs a program as a user does, without this checkout on its path; returns what it prints."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> tuple[Path, Path]:
    """The source archive and the wheel; `build` compares them with a second build."""
    source, wheel = build(ROOT, tmp_path_factory.mktemp("dist"), "1700000000")
    return source, wheel


@pytest.fixture(scope="module")
def wheel(archives) -> Path:
    return archives[1]


@pytest.fixture(scope="module", params=["source archive", "wheel"])
def installed(request, archives, tmp_path_factory) -> Path:
    """A virtual environment with an archive installed, and with the libraries of this one."""
    archive = archives[request.param == "wheel"]
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python3*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "libraries.pth").write_text("\n".join(here) + "\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", python)
    # Of this checkout the environment's own pip would say that it is installed already.
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall",
        "--ignore-installed", "--no-build-isolation", archive, cwd=folder)  # fmt: skip
    return folder


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    held = {name for name in names if ".dist-info/" not in name}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and not any(part in path.as_posix() for part in IGNORED)
    }
    assert held == wanted | {"textenv/envs_registry.yaml", "textenv_verifiers.py"}
    assert {name.partition("/")[2] for name in names if "/licenses/" in name} == {
        "licenses/LICENSE"
    }


def test_the_source_archive_holds_what_the_wheel_is_built_from_and_nothing_else(archives, wheel):
    with tarfile.open(archives[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    packed = set(zipfile.ZipFile(wheel).namelist())
    code = {name for name in packed if ".dist-info/" not in name}
    beside = {
        *("CHANGELOG.md", "CITATION.cff", "LICENSE", "PKG-INFO", "README.md", "constraints.txt"),
        *(".gitignore", "envs_registry.yaml", "pyproject.toml"),
    }
    assert names == code - {"textenv/envs_registry.yaml"} | beside


def test_a_package_index_is_told_what_this_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode("utf-8")
    told = email.message_from_string(text)
    assert (told["Name"], told["Version"]) == ("textenv", textenv.__version__)
    assert told["Requires-Python"] == ">=3.11"
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Description-Content-Type"] == "text/markdown"
    assert told.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Typing :: Typed" in told.get_all("Classifier", [])


@pytest.mark.slow
def test_the_installed_command_runs_on_what_the_wheel_holds(installed, tmp_path):
    python, command = installed / "bin" / "python", installed / "bin" / "textenv"
    for package in PACKAGES:
        code = f"import {package}; print({package}.__file__)"
        assert run(python, "-c", code, cwd=tmp_path).startswith(str(installed))
    listed = run(command, "list", cwd=tmp_path)
    assert "TextSummarize-v0" in listed
    # The commands of the other package, the model and a page's templates are found, too.
    out = tmp_path / "run"
    run(command, "train", "TextQA-v0", "total_episodes=4", "n_episodes=4", "n_envs=4",
        "batch_size=4", "eval_examples=2", "validation_every=0", "device=cpu", "--out", out,
        cwd=tmp_path)  # fmt: skip
    assert json.loads((out / "result.json").read_text())["iterations"] == 1
    assert (out / "report.html").is_file()
