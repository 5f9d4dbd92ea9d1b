"""Folders of made-up runs, and the server's answers without a network."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_RUNS = Path(__file__).parents[1] / "training" / "report" / "conftest.py"
_spec = importlib.util.spec_from_file_location("made_up_runs", _RUNS)
_runs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_runs)
hostile, make_run = _runs.hostile, _runs.make_run


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


def ask(app: Any, path: str, method: str = "GET", **headers: str) -> Answer:
    """Sends one request to an ASGI application; "_" in a header's name stands for "-"."""
    path, _, query = path.partition("?")
    given = {"host": "127.0.0.1:8765", **{k.replace("_", "-"): v for k, v in headers.items()}}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.encode(), v.encode()) for k, v in given.items() if v],
    }
    sent: list[dict[str, Any]] = []

    received: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if not received:
            await asyncio.Event().wait()  # the browser stays
        return received.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    start = sent[0]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(
        start["status"],
        {name.decode().lower(): value.decode() for name, value in start["headers"]},
        body.decode(),
    )


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[..., Answer]]:
    """Returns what asks a server of folders; by default of all runs of the test."""
    pytest.importorskip("starlette", reason="the extra serve is not installed")
    pytest.importorskip("uvicorn", reason="the extra serve is not installed")
    from agents.serve import watched_runs
    from agents.serve.app import make_app

    # A test does not wait for the next look.
    monkeypatch.setattr(watched_runs, "_REFRESH_EVERY_S", 0.0)
    monkeypatch.setattr(watched_runs, "_FIND_EVERY_S", 0.0)

    def start(*folders: Path) -> Callable[..., Answer]:
        app = make_app(watched_runs.WatchedRuns(folders or [tmp_path]))
        return lambda path, method="GET", **headers: ask(app, path, method, **headers)

    return start


@pytest.fixture
def add_iteration() -> Callable[[Path, int], None]:
    """Appends a row to the metrics of a run, as the training does."""

    def add(folder: Path, iteration: int) -> None:
        path = folder / "metrics.jsonl"
        row = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | {"iteration": iteration}) + "\n")

    return add
