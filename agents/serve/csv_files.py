"""Metrics and texts as CSV, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from agents.serve.text_query import FoundText, read_texts
from agents.serve.watched_run import WatchedRun
from textenv.safe_text import for_csv

_LINES = 250  # that are sent at a time
_TEXT_COLUMNS = (
    *("run", "stage", "iteration", "id", "reward"),
    *("prompt", "references", "response", "turns", "stop_reason"),
)


def metrics_csv(run: WatchedRun) -> Iterator[str]:
    """Yields the rows of a run's metrics, a column a key; what is missing is empty."""
    keys = run.metrics.keys
    rows = run.metrics.rows()
    return write_csv(keys, ([row.get(key) for key in keys] for row in rows))


def texts_csv(found: Sequence[FoundText]) -> Iterator[str]:
    """Yields texts, an answer a row; turns of a dialogue stand in one cell, a line each."""
    return write_csv(_TEXT_COLUMNS, (_text_cells(text, row) for text, row in read_texts(found)))


def write_csv(names: Iterable[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yields the lines of a CSV file with a heading, many at a time."""
    left = chain([list(names)], rows)
    while some := list(islice(left, _LINES)):
        lines = io.StringIO()
        csv.writer(lines).writerows([for_csv(cell) for cell in cells] for cells in some)
        yield lines.getvalue()


def _text_cells(text: FoundText, row: dict[str, Any]) -> list[Any]:
    return [
        text.run.name,
        f"{text.stage} {text.place.part}".strip(),
        text.iteration if text.iteration >= 0 else None,
        row["id"],
        None if math.isnan(text.place.reward) else text.place.reward,
        row["prompt"],
        "\n".join(row["references"]),
        row["response"],
        "\n".join(f"{turn['role']}: {turn['text']}" for turn in row["turns"]),
        row["stop_reason"],
    ]
