"""The wheel, built and installed, has all that the packages read, and its command works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

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
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(out)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return out / done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A virtual environment with the wheel, and with the libraries of this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python3*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "libraries.pth").write_text("\n".join(here) + "\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", python)
    # Of this checkout the environment's own pip would say that it is installed already.
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall",
        "--ignore-installed", wheel, cwd=folder)  # fmt: skip
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
    assert held == wanted | {"textenv/envs_registry.yaml"}
    assert {name.partition("/")[2] for name in names if "/licenses/" in name} == {
        "licenses/LICENSE"
    }


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
