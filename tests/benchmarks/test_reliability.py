"""The attempts to lose a run of docs/reliability.md, a few of each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("kills", "--runs", "8"),
        ("operations", "--part", "1/10"),
        ("faults", "--runs", "16", "--part", "2/10"),
        ("damage",),
    ],
)
def test_no_attempt_loses_a_run_or_goes_unnoticed(words):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reliability", *words], cwd=_ROOT, check=False,
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
