"""Renders the page of a run, and writes it into the run's folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.training.config import train_config
from agents.training.kept_texts import LOOKS_FILE, ROLLOUTS_FILE
from agents.training.report import curves, texts, verdict
from agents.training.report.run_record import RunRecord, read_run
from agents.training.run_folder import ABOUT_FILE, METRICS_FILE, SAMPLES_FILE
from textenv.report import REPORT_NAME, make_environment, render_page
from textenv.report.metric_rows import read_rows
from textenv.report.page import FRAME
from textenv.storage.faults import storage_faults
from textenv.storage.whole_files import write_whole

_FILES = (
    "config.yaml",
    METRICS_FILE,
    SAMPLES_FILE,
    ROLLOUTS_FILE,
    LOOKS_FILE,
    "result.json",
    ABOUT_FILE,
)
_DIGITS = 6  # of the numbers that a page carries
_MOST_ROWS = 500  # iterations that it carries
# Keys that say which run it is, not how it is made.
_NAMING = ("id", "model", "lora")

_log = logging.getLogger(__name__)


@contextmanager
def reported(folder: Path) -> Iterator[None]:
    """Writes the page of a run when it ends, stops or fails after an iteration.

    A page that cannot be written is a warning: it must not cost a run its result, or hide why it
    failed.
    """
    try:
        yield
    finally:
        if read_rows(folder / METRICS_FILE):
            try:
                write_run_report(folder)
            except Exception as error:
                _log.warning(
                    f"The report of '{folder}' could not be written ({type(error).__name__}: "
                    f"{error}); 'textenv report {folder}' tries again."
                )


def write_run_report(folder: Path, out: Path | None = None) -> Path:
    """Writes the page of the run in a folder; returns its path.

    Args:
        folder: Folder of a run of `textenv train`, finished or not.
        out: File of the page; by default `report.html` in the folder.

    Raises:
        ConfigError: The folder holds no run, or none that has finished an iteration.
    """
    run = read_run(folder)
    beside = [name for name in _FILES if (folder / name).is_file()] if out is None else []
    page = folder / REPORT_NAME if out is None else out
    text = render_run(run, beside)
    with storage_faults(page):
        page.parent.mkdir(parents=True, exist_ok=True)
        write_whole(page, text)
    return page


def render_run(run: RunRecord, files: Sequence[str] = ()) -> str:
    """Returns the page of a run as HTML, with links to files beside it."""
    return render_page(
        page_environment(), "run.html.j2", data=_data(run), files=files, **run_values(run)
    )


def run_values(run: RunRecord, is_training: bool = False) -> dict[str, Any]:
    """Returns what the template `run.html.j2` shows.

    Args:
        run: A run.
        is_training: Whether the run goes on by itself, so that nothing is to be done.
    """
    return {
        "title": f"{run.config['id']}: {run.name}",
        "run": run,
        "changed": find_changed(run),
        "is_training": is_training,
    }


def page_environment(*packages: str, frame: str = FRAME) -> Any:
    """Returns the environment of the templates.

    Args:
        packages: Packages with further templates.
        frame: Template that the pages extend.
    """
    return make_environment(
        *packages,
        "agents.training.report",
        frame=frame,
        curves=curves,
        texts=texts,
        verdict=verdict,
        n_colors=curves.N_COLORS,
    )


def find_changed(run: RunRecord) -> dict[str, Any]:
    """Returns the configuration's keys whose values are not the defaults."""
    named = {name: run.config[name] for name in _NAMING if name in run.config}
    defaults = train_config(named).to_json()
    return {
        key: value
        for key, value in run.config.items()
        if key not in _NAMING[:2] and (key not in defaults or value != defaults[key])
    }


def _data(run: RunRecord) -> dict[str, Any]:
    """Returns what the page carries: the result, the configuration and the metrics by column."""
    step = -(-len(run.metrics) // _MOST_ROWS)
    rows = run.metrics[::step]
    keys = dict.fromkeys(key for row in rows for key in row)
    return {
        "config": dict(run.config),
        "about": dict(run.about),
        "result": dict(run.result),
        "metrics": {key: [_rounded(row.get(key)) for row in rows] for key in keys},
    }


def _rounded(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
