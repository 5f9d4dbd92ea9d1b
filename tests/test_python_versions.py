"""The packages' source, read by the newer interpreters that are on this machine.

It says that they compile there without a warning, and import nothing from the standard library that
has gone. What the libraries below do there it does not say.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LATER = ("3.12", "3.13")

CHECK = """
import ast, importlib.util, pathlib, sys, warnings
warnings.simplefilter("error")
for package in ("textenv", "agents"):
    for path in sorted(pathlib.Path(package).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        compile(source, str(path), "exec", dont_inherit=True)
        for node in ast.walk(ast.parse(source)):
            names = []
            if isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in {name.partition(".")[0] for name in names}:
                if name in OLD and name not in sys.stdlib_module_names:
                    raise SystemExit(f"{path}: {name} has left the standard library")
print("read", sys.version.split()[0])
"""


def find_interpreter(version: str) -> str | None:
    """Returns a Python of a version, from the path or from pyenv's folder."""
    candidates = [shutil.which(f"python{version}")]
    candidates += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in filter(None, candidates):
        asked = subprocess.run([candidate, "-V"], capture_output=True, text=True)
        if asked.returncode == 0 and asked.stdout.startswith(f"Python {version}."):
            return str(candidate)
    return None


@pytest.mark.parametrize("version", LATER)
def test_the_source_is_read_without_a_warning(version):
    python = find_interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    code = f"OLD = {sorted(sys.stdlib_module_names)!r}\n{CHECK}"
    done = subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"read {version}.")


def test_the_versions_that_are_promised_are_those_that_are_read():
    assert PROJECT["requires-python"] == ">=3.11"
    listed = {
        line.rpartition(" :: ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line
    }
    assert listed == {"3.11", *LATER}
