"""The web application: read only, for this machine alone."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from agents.serve.csv_files import metrics_csv, texts_csv
from agents.serve.guard import Guard
from agents.serve.pages import Pages
from agents.serve.text_query import TextQuery, find_texts, read_query
from agents.serve.watched_run import WatchedRun
from agents.serve.watched_runs import WatchedRuns
from agents.training.report.comparison import Agent
from textenv.errors import ConfigError, DamagedError
from textenv.report.page import read_asset

_HERE = Path(__file__).parent
_ASSETS: dict[str, tuple[str, Callable[[], str]]] = {
    "style.css": ("text/css", lambda: read_asset("style.css")),
    "script.js": ("text/javascript", lambda: read_asset("script.js")),
    "serve.css": ("text/css", lambda: (_HERE / "serve.css").read_text(encoding="utf-8")),
    "serve.js": ("text/javascript", lambda: (_HERE / "serve.js").read_text(encoding="utf-8")),
}


def make_app(runs: WatchedRuns) -> Any:
    """Returns the ASGI application that shows some runs.

    | address | what it answers with |
    |---|---|
    | `/` | the list of runs |
    | `/runs/ID` | the page of a run |
    | `/runs/ID/metrics.csv` | its metrics |
    | `/compare?run=ID&run=ID` | runs beside the first; `agent=last` compares the last agents |
    | `/texts?...` | texts, filtered as `TextQuery` says; `page` counts from 1 |
    | `/texts.csv?...` | all of them |

    A page has an ETag, which changes when a file of its runs does.
    """
    served = _Served(runs)
    routes = [
        Route("/", served.list_runs),
        Route("/runs/{id}", served.show_run),
        Route("/runs/{id}/metrics.csv", served.save_metrics),
        Route("/compare", served.compare),
        Route("/texts", served.show_texts),
        Route("/texts.csv", served.save_texts),
        Route("/assets/{name}", send_asset),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={HTTPException: served.refuse}))


class _Served:
    """What the addresses answer with. One request at a time reads files and renders."""

    def __init__(self, runs: WatchedRuns) -> None:
        self._runs, self._pages = runs, Pages()
        self._lock = threading.Lock()
        # Ids of versions differ from those of an earlier start.
        self._started = time.time_ns()

    def list_runs(self, request: Request) -> Response:
        with self._lock:
            runs = self._refreshed()
            return self._page(request, runs, lambda etag: self._pages.runs(runs, etag))

    def show_run(self, request: Request) -> Response:
        with self._lock:
            run = self._find(request)
            return self._page(request, [run], lambda etag: self._pages.run(run, etag))

    def save_metrics(self, request: Request) -> Response:
        with self._lock:
            run = self._find(request)
            return _csv(metrics_csv(run), f"{run.name}-metrics")

    def compare(self, request: Request) -> Response:
        with self._lock:
            known = {run.id: run for run in self._refreshed()}
            ids = dict.fromkeys(request.query_params.getlist("run"))
            if unknown := [id for id in ids if id not in known]:
                raise HTTPException(404, f"There is no run '{unknown[0]}' among those served.")
            runs = [known[id] for id in ids]
            agent: Agent = "last" if request.query_params.get("agent") == "last" else "best"
            return self._page(request, runs, lambda etag: self._pages.comparison(runs, agent, etag))

    def show_texts(self, request: Request) -> Response:
        with self._lock:
            runs = self._refreshed()
            try:
                query = read_query(request.query_params.multi_items())
            except (ConfigError, DamagedError) as error:
                page = self._pages.texts(runs, TextQuery(), [], 1, "", str(error))
                return HTMLResponse(page, 400)
            number = request.query_params.get("page", "")
            page_number = int(number) if re.fullmatch(r"[1-9]\d{0,8}", number, re.ASCII) else 1
            chosen = [run for run in runs if not query.runs or run.id in query.runs]

            def render(etag: str) -> str:
                found = find_texts(chosen, query)
                return self._pages.texts(runs, query, found, page_number, etag)

            return self._page(request, chosen, render)

    def save_texts(self, request: Request) -> Response:
        with self._lock:
            runs = self._refreshed()
            try:
                query = read_query(request.query_params.multi_items())
            except (ConfigError, DamagedError) as error:
                raise HTTPException(400, str(error)) from error
            return _csv(texts_csv(find_texts(runs, query)), "texts")

    def refuse(self, request: Request, error: Exception) -> Response:
        """Says why there is no such page."""
        assert isinstance(error, HTTPException)
        detail = error.detail
        if detail == "Not Found":
            detail = "There is no such page. The list of runs leads to all that there are."
        return HTMLResponse(self._pages.message("Not found", detail), error.status_code)

    def _refreshed(self) -> list[WatchedRun]:
        self._runs.refresh()
        return list(self._runs)

    def _find(self, request: Request) -> WatchedRun:
        self._runs.refresh()
        run = self._runs.find(request.path_params["id"])
        if run is None:
            raise HTTPException(404, "There is no such run among those served. It may be gone.")
        return run

    def _page(
        self, request: Request, runs: Sequence[WatchedRun], render: Callable[[str], str]
    ) -> Response:
        """Renders a page, unless the browser has it as the runs are now."""
        states = [(run.id, run.version, run.state) for run in runs]
        digest = hashlib.blake2b(repr((self._started, states)).encode(), digest_size=12)
        etag = f'"{digest.hexdigest()}"'
        headers = {"ETag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return HTMLResponse(render(etag), headers=headers)


def send_asset(request: Request) -> Response:
    """Sends one of the styles and scripts that all pages share."""
    found = _ASSETS.get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    kind, read = found
    return Response(read(), media_type=kind)


def _csv(lines: Iterable[str], name: str) -> Response:
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:80] or "textenv"
    headers = {"Content-Disposition": f'attachment; filename="{safe}.csv"'}
    return StreamingResponse(iter(lines), media_type="text/csv; charset=utf-8", headers=headers)
