"""Figures of several rounds: medians and ratios, and how benchmarks print and write them."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

JsonPath = Annotated[Path | None, typer.Option("--json", help="Write the figures here.")]


@dataclass(frozen=True)
class Spread:
    """A figure that was measured in several rounds."""

    median: float
    low: float  # least of a round
    high: float  # greatest of a round

    def cells(self, digits: int = 2) -> tuple[str, str]:
        """Returns the median and the range as a table shows them."""
        return f"{self.median:.{digits}f}", f"{self.low:.{digits}f}-{self.high:.{digits}f}"


def spread_of(values: Sequence[float]) -> Spread:
    """Returns the median and the range of a figure's rounds."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios_of(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Returns the ratios within rounds: what else the machine does falls on both."""
    return spread_of([a / b for a, b in zip(ours, theirs, strict=True)])


def make_table(title: str | None, *columns: str, n_names: int = 1) -> Table:
    """Makes a table whose first columns hold names, and all others numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0), title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < n_names else "right", no_wrap=i < n_names)
    return table


def write_json(path: Path | None, figures: Any) -> None:
    """Writes figures to a file, if one is given."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def describe_machine(*packages: str) -> dict[str, Any]:
    """Describes the machine and its load, with the versions of Python and of some packages."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8").splitlines()
        model = next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), model)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
