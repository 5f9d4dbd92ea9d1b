"""Renders the pages that are served."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import urlencode

from agents.serve.run_rows import COLUMNS, make_row
from agents.serve.shown_texts import make_found
from agents.serve.text_query import ORDERS, STAGES, FoundText, TextQuery, read_texts
from agents.serve.watched_run import WatchedRun
from agents.training.report.comparison import LETTERS, Agent, compare_records, name_runs
from agents.training.report.comparison_page import comparison_values
from agents.training.report.curves import make_compared_panels
from agents.training.report.render import page_environment, run_values
from textenv.errors import ConfigError, DamagedError, TextEnvError
from textenv.safe_text import without_lone_surrogates

PAGE_SIZE = 20  # texts of a page
_STATES = ("training", "failed", "stopped", "finished")  # in this order in the list
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Pages:
    """The pages of runs as HTML."""

    def __init__(self) -> None:
        self._templates = page_environment("agents.serve", frame="served.html.j2")

    def runs(self, runs: Sequence[WatchedRun], etag: str) -> str:
        """Renders the list of runs: those that train first, then the latest."""
        states = {run.id: run.state for run in runs}
        ordered = sorted(runs, key=lambda r: (_STATES.index(states[r.id]), -r.changed_at))
        return self._render(
            "runs.html.j2",
            etag,
            here="runs",
            title="Runs",
            columns=COLUMNS,
            rows=[make_row(run, states[run.id]) for run in ordered],
            n_training=list(states.values()).count("training"),
        )

    def run(self, run: WatchedRun, etag: str) -> str:
        """Renders the page of a run."""
        downloads = [
            (f"/runs/{run.id}/metrics.csv", "The metrics as CSV"),
            (f"/texts.csv?run={run.id}", "The texts as CSV"),
            (f"/texts?run={run.id}", "Search the texts"),
        ]
        if not len(run.metrics):
            return self.message(
                run.name,
                f"The run failed before its first iteration. {run.error}"
                if run.state == "failed"
                else "The run has not finished an iteration yet. This page shows it once it has.",
                etag,
            )
        try:
            values = run_values(run.record(), is_training=run.state == "training")
            return self._render("run.html.j2", etag, downloads=downloads, **values)
        except _MALFORMED as error:
            return self.message(run.name, _describe_malformed(error), etag)

    def comparison(self, runs: Sequence[WatchedRun], agent: Agent, etag: str) -> str:
        """Renders runs beside the first; where they cannot be compared, why, and their curves."""
        started = [run.record() for run in runs if len(run.metrics)]
        try:
            _check_comparable(runs)
            return self._render(
                "compare.html.j2", etag, **comparison_values(compare_records(started, agent))
            )
        except (ConfigError, DamagedError, *_MALFORMED) as error:
            reason = str(error) if isinstance(error, TextEnvError) else _describe_malformed(error)
            if not 2 <= len(started) <= len(LETTERS):
                return self.message("Nothing to compare", reason, etag)
            letters = LETTERS[: len(started)]
            return self._render(
                "overlay.html.j2",
                etag,
                title="The runs cannot be compared",
                reason=reason,
                names=list(zip(letters, name_runs(started), strict=True)),
                drawn=make_compared_panels(started, letters),
            )

    def texts(
        self,
        runs: Sequence[WatchedRun],
        query: TextQuery,
        found: Sequence[FoundText],
        page: int,
        etag: str,
        problem: str = "",
    ) -> str:
        """Renders a page of texts that were found, and the form that finds others.

        Args:
            runs: All runs.
            query: What was asked.
            found: Every text that was found.
            page: Number of the page, from 1.
            etag: What the page depends on.
            problem: Why nothing is shown; empty for nothing wrong.
        """
        n_pages = max(math.ceil(len(found) / PAGE_SIZE), 1)
        page = min(page, n_pages)
        parameters = query.to_parameters()
        shown = found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]

        def link(number: int) -> str:
            return f"/texts?{urlencode([*parameters, ('page', str(number))])}"

        return self._render(
            "found_texts.html.j2",
            etag,
            here="texts",
            title="Texts",
            given=dict(parameters),
            several=query.runs if len(query.runs) > 1 else (),
            runs=[("", "all runs"), *((run.id, run.name) for run in runs)],
            stages=[("", "all"), *STAGES.items()],
            orders=[("" if key == "newest" else key, words) for key, words in ORDERS.items()],
            problem=problem,
            n_found=len(found),
            texts=[make_found(text, row, query.words) for text, row in read_texts(shown)],
            csv=f"/texts.csv?{urlencode(parameters)}",
            page=page,
            n_pages=n_pages,
            before=link(page - 1) if page > 1 else "",
            after=link(page + 1) if page < n_pages else "",
        )

    def message(self, title: str, message: str, etag: str = "") -> str:
        """Renders a page that only says something."""
        return self._render("message.html.j2", etag, title=title, message=message)

    def _render(self, template: str, etag: str, **values: Any) -> str:
        common = {"downloads": (), "here": "", "etag": etag, "version": version("textenv")}
        page = self._templates.get_template(template).render(common | values)
        return without_lone_surrogates(str(page))  # a folder's name may hold bytes that are no text


def _check_comparable(runs: Sequence[WatchedRun]) -> None:
    """Raises for what a reader of pages can mend, in the words of pages."""
    if not 2 <= len(runs) <= len(LETTERS):
        raise ConfigError(f"Choose two runs or more in the list, up to {len(LETTERS)}.")
    going_on = [run.name for run in runs if run.state == "training"]
    if going_on:
        raise ConfigError(
            f"Still training: {', '.join(going_on)}. Agents are measured on held-out examples when "
            "a run ends; this page compares them then."
        )


def _describe_malformed(error: Exception) -> str:
    return (
        "A file in the run's folder is not as textenv train writes it, so there is no page of it "
        f"({type(error).__name__}: {error})."
    )
