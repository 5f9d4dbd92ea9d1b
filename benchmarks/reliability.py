"""Attempts to lose a run: it is killed, the disk fails, files are damaged. Prints rows of a table.

    python -m benchmarks.reliability kills --runs 60     # SIGKILL at random moments
    python -m benchmarks.reliability operations          # SIGKILL at each file operation of a save
    python -m benchmarks.reliability faults --runs 200   # a full, failing or read-only disk there
    python -m benchmarks.reliability damage              # a flipped bit, a cut, nothing: each file

Each exits with 1 if an attempt failed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from agents.training.run_check import check_run
from benchmarks.file_operations import die, fault
from benchmarks.reliability_runs import (
    FAULTS,
    KINDS,
    Attempt,
    at_each_operation,
    kill_at_random,
    make_config,
    one_thread,
    telling_begin,
    train_in_child,
    what_it_wrote,
)
from textenv.storage.folder_lock import LOCK_FILE

app = typer.Typer(add_completion=False, help=__doc__)
_console = Console(highlight=False, soft_wrap=True)
_progress = Console(highlight=False, soft_wrap=True, stderr=True)
_SAVES = (2, 4)
_ALL = ",".join(KINDS)
Kinds = Annotated[str, typer.Option(help="Kinds of runs, by commas.")]
Runs = Annotated[int, typer.Option(min=1, help="Number of attempts.")]
Part = Annotated[str, typer.Option(help="K/N: every Nth operation alone, from the Kth on.")]
Seed = Annotated[int, typer.Option(help="Seed of what is drawn.")]


@app.command()
def kills(runs: Runs = 60, kinds: Kinds = _ALL, seed: Seed = 0) -> None:
    """SIGKILL at a random moment of a run, then --resume."""
    rng, names, table = random.Random(seed), kinds.split(","), _Table()
    with _prepared() as (folder, url):
        straight = {kind: _straight(kind, folder, url) for kind in names}
        for i in range(runs):
            kind = names[i % len(names)]
            wanted, wall_s = straight[kind]
            place = folder / "killed"
            table.add(
                kill_at_random(
                    make_config(kind, url), kind, place, rng.uniform(0.0, wall_s), wanted
                )
            )
            shutil.rmtree(place, ignore_errors=True)  # killed before it was made
    table.end("SIGKILL at random")


@app.command()
def operations(kinds: Kinds = "PPO", part: Part = "1/1") -> None:
    """SIGKILL at each file operation of two saves, then --resume."""
    table = _Table()
    _at_operations(kinds, part, lambda i: die, table)
    table.end("SIGKILL at a file operation")


@app.command()
def faults(runs: Runs = 200, kinds: Kinds = "PPO", part: Part = "1/1", seed: Seed = 0) -> None:
    """An error of the disk at file operations of two saves, then --resume."""
    rng, table = random.Random(seed), _Table()
    while table.n < runs:  # each operation once, and again with another error
        first, most = rng.randrange(len(FAULTS)), runs - table.n
        given = itertools.count()
        _at_operations(kinds, part, partial(_next_fault, first, given, most), table)
    table.end("fault at a file operation")


def _next_fault(first: int, given: Iterator[int], most: int, i: int) -> Callable[[], None] | None:
    """Returns a fault for an operation, of each kind in turn; None once enough were given."""
    return fault(FAULTS[(first + i) % len(FAULTS)]) if next(given) < most else None


def _at_operations(kinds: str, part: str, acts: Callable[[int], Any], table: _Table) -> None:
    number, of = map(int, part.split("/"))
    with _prepared() as (folder, url):
        for kind in kinds.split(","):
            wanted, _ = _straight(kind, folder, url)
            at_each_operation(
                make_config(kind, url), kind, folder / f"{kind}-cases", wanted, _SAVES,
                lambda i: acts(i) if i % of == number - 1 else None, table.add,
            )  # fmt: skip


@app.command()
def damage(seed: Seed = 0) -> None:
    """A flipped bit, a cut and nothing in each file of a finished run: is it named?"""
    rng = random.Random(seed)
    n = n_named = 0
    with _prepared() as (folder, url):
        _straight("LoRA", folder, url)
        run = folder / "LoRA" / "run"
        files = sorted(p for p in run.rglob("*") if p.is_file() and p.name != LOCK_FILE)
        for path in files:
            content = path.read_bytes()
            place = rng.randrange(8 * len(content))
            flipped = bytearray(content)
            flipped[place // 8] ^= 1 << place % 8
            for how, spoilt in (
                ("a flipped bit", bytes(flipped)),
                ("a cut", content[: rng.randrange(1, len(content))]),
                ("empty", b""),
            ):
                path.write_bytes(spoilt)
                found = check_run(run)
                is_named = any(str(path) in text for text in (*found.damaged, *found.derived))
                n, n_named = n + 1, n_named + is_named
                if not is_named:
                    _console.print(f"not named: {how} in {path.relative_to(run)}")
            path.write_bytes(content)
        assert not check_run(run).damaged
    _console.print(f"| damage: {len(files)} files, each three ways | {n} | {n - n_named} |")
    raise typer.Exit(n != n_named)


class _Table:
    """Counts attempts."""

    def __init__(self) -> None:
        self.n = self.n_failed = 0
        self.codes: dict[int, int] = {}

    def add(self, attempt: Attempt) -> None:
        """Counts one, and tells of it if it failed."""
        self.n += 1
        self.codes[attempt.ended.code] = self.codes.get(attempt.ended.code, 0) + 1
        right = "right" if attempt.is_right else "FAILED"
        _progress.print(f"{self.n} {attempt.kind}, {attempt.place}: {right}", markup=False)
        if not attempt.is_right:
            self.n_failed += 1
            _console.print(
                f"FAILED {attempt.kind}, {attempt.place}: equal {attempt.is_equal}, lost "
                f"{attempt.lost}\n  "
                + "\n  ".join(
                    f"{ended.code} {ended.said[-1500:]}"
                    for ended in (attempt.ended, attempt.resumed)
                    if ended is not None
                ),
                markup=False,
            )

    def end(self, what: str) -> None:
        """Prints the row of the table."""
        codes = ", ".join(f"{code}: {n}" for code, n in sorted(self.codes.items()))
        _console.print(f"| {what} | {self.n} | {self.n_failed} | ended by {codes} |", markup=False)
        if self.n_failed:
            raise typer.Exit(1)


def _straight(kind: str, folder: Path, url: str) -> tuple[dict[str, Any], float]:
    """Makes a run that nothing interrupts; returns what it wrote, and its seconds."""
    began = time.perf_counter()
    ended = train_in_child(make_config(kind, url), folder / kind / "run")
    assert ended.code == 0, ended.said
    wrote = what_it_wrote(folder / kind / "run"), time.perf_counter() - began
    return wrote


@contextmanager
def _prepared() -> Iterator[tuple[Path, str]]:
    """Yields a folder to work in, and the address of a judge."""
    one_thread()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder, telling_begin():
        yield Path(folder), f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


class _Judge(BaseHTTPRequestHandler):
    """Gives each prompt a score of its own."""

    def do_POST(self) -> None:
        """Answers."""
        body = self.rfile.read(int(self.headers["content-length"]))
        said = json.dumps(json.loads(body)["messages"])
        score = hashlib.blake2b(said.encode()).digest()[0] % 10 + 1
        message = {"role": "assistant", "content": f'{{"score": {score}}}'}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m",
                  "choices": [choice]}  # fmt: skip
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *given: Any) -> None:
        """Says nothing."""


if __name__ == "__main__":
    app()
