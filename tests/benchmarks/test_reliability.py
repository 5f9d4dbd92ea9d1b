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


@pytest.mark.slow
def test_a_run_that_is_killed_between_its_result_and_its_page_is_finished(tmp_path):
    # In a process of its own, since torch computes in one thread after it.
    code = f"""
import os, pathlib, signal
import agents.training.report.render as render
from benchmarks.reliability_runs import *
one_thread()
folder, config = pathlib.Path({str(tmp_path)!r}), make_config("PPO")
with telling_begin():
    assert train_in_child(config, folder / "straight").code == 0
    straight = what_it_wrote(folder / "straight")
    with replaced(render, "write_run_report", lambda *_: os.kill(os.getpid(), signal.SIGKILL)):
        attempt = kill_at_random(config, "PPO", folder / "killed", 600.0, straight)
assert attempt.ended.code == -signal.SIGKILL, attempt.ended
assert not (folder / "killed/run/report.html").exists()
assert attempt.is_right, attempt
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.endswith("done\n"), done.stdout + done.stderr
