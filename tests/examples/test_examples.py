"""Every script of examples/ runs at smoke size, and ends with its result in a line that parses."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
import threading
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_NUMBER = r"(\d+\.\d{3})"
_RESULT = re.compile(rf"[\w' .-]+ on Text\w+-v\d+: (?:before {_NUMBER} after|score) {_NUMBER}")

# What runs: the packages that it needs beside those of textenv itself, and arguments at which it
# takes seconds.
RUNS = {
    "sb3_ppo_a2c.py --algorithm PPO --steps 256 --envs 2 --episodes 4": (),
    "sb3_ppo_a2c.py --algorithm A2C --steps 128 --envs 2 --episodes 4": (),
    "sb3_dqn_select.py --steps 384 --episodes 8": (),
    "sb3_maskable_ppo.py --steps 128 --envs 2 --episodes 8": ("sb3_contrib",),
    "sb3_recurrent_ppo.py --steps 128 --envs 2 --episodes 8": ("sb3_contrib",),
    "cleanrl_ppo.py --iterations 1 --episodes 8": (),
    "torchrl_gymenv.py --steps 128 --batch 64 --episodes 4": ("torchrl", "tensordict"),
    "trl_grpo.py --steps 1 --batch 16 --episodes 8": ("trl",),
    "trl_grpo.py --id TextDialogueEasy-v0 --steps 1 --batch 16 --episodes 8": ("trl",),
    "best_of_n.py --prompts 4 --samples 4": (),
    "chat_endpoint.py --model gold --episodes 4": (),
}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Any]]]:
    """A chat endpoint of the test's own, named by the environment; returns what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append(body["messages"])
            message = {"role": "assistant", "content": "Booked: Thai food, for 2 people."}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps({"id": "1", "choices": [choice]}).encode())

        def log_message(self, *arguments: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    yield lambda: asked
    server.shutdown()
    server.server_close()


def test_every_example_is_run_here_and_listed_in_the_readme():
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert {run.split()[0] for run in RUNS} == scripts
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert {script for script in scripts if f"[{script}]({script})" in readme} == scripts


@pytest.mark.parametrize(
    "run",
    # Agents of other packages, and second ones, are long forms.
    [
        pytest.param(
            run, marks=[pytest.mark.slow] * (bool(RUNS[run]) or "A2C" in run or "cleanrl" in run)
        )
        for run in RUNS
    ],
    ids=lambda run: run.partition(" --steps")[0],
)
def test_an_example_ends_with_its_result(run, endpoint, monkeypatch, capsys):
    missing = [name for name in RUNS[run] if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'textenv[examples]'")
    script, *arguments = run.split()
    monkeypatch.setattr("sys.argv", [script, *arguments])
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    # The packages warn of one another; what they say is not ours to mend.
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    last = capsys.readouterr().out.strip().splitlines()[-1]
    found = _RESULT.fullmatch(last)
    assert found, last
    assert all(0 <= float(score) <= 1 for score in found.groups() if score is not None)
    assert bool(endpoint()) == (script == "chat_endpoint.py")
