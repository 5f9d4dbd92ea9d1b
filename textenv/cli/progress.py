"""A progress bar for long work, on standard error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Report(Protocol):
    """Moves a bar on."""

    def __call__(self, done: float, note: str = "", total: float | None = None) -> None:
        """Takes the work done, a note to show next to it, and the total once it is known."""


@contextmanager
def track(description: str, total: float | None) -> Iterator[Report]:
    """Shows a progress bar; the total is None if the reports will tell."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    # Of several processes of one job the first shows it.
    console = Console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(description, total=total, note="")

        def report(done: float, note: str = "", total: float | None = None) -> None:
            progress.update(bar, completed=done, total=total, note=note)

        yield report


@contextmanager
def track_steps(description: str, total: int) -> Iterator[Callable[[int, float], bool]]:
    """Shows the progress of supervised training: its step and its loss."""
    smoothed = float("nan")
    with track(description, total) as report:

        def after_step(step: int, loss: float) -> bool:
            nonlocal smoothed
            smoothed = loss if step == 1 else 0.95 * smoothed + 0.05 * loss
            report(step, f"loss {smoothed:.3f}")
            return True

        yield after_step
