"""The progress of long work on standard error: a bar on a terminal, plain lines in a file."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from textenv.cli.terminal import make_console


class Report(Protocol):
    """Moves a bar on."""

    def __call__(self, done: float, note: str = "", total: float | None = None) -> None:
        """Takes the work done, a note to show next to it, and the total once it is known."""


@contextmanager
def track(description: str, total: float | None, pause_s: float = 0.0) -> Iterator[Report]:
    """Shows the progress of some work.

    Where standard error is no terminal (nohup, Slurm), each report that has a note is a line.

    Args:
        description: What is done.
        total: The total work; None if the reports will tell.
        pause_s: Least time between two lines.
    """
    # Of several processes of one job the first shows it.
    console = make_console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")
    if not console.is_terminal:
        yield _line_writer(description, total, pause_s, console)
        return
    columns = (
        TextColumn("{task.description}"),
        # The note is what matters where there is little room.
        BarColumn(bar_width=24 if console.width > 100 else 4),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(description, total=total, note="")

        def report(done: float, note: str = "", total: float | None = None) -> None:
            progress.update(bar, completed=done, total=total, note=note)

        yield report


def _line_writer(description: str, total: float | None, pause_s: float, console: Console) -> Report:
    started_at = time.monotonic()
    whole, written_at = total, float("-inf")

    def report(done: float, note: str = "", total: float | None = None) -> None:
        nonlocal whole, written_at
        whole = whole if total is None else total
        now = time.monotonic()
        ended = whole is not None and done >= whole > 0
        if (note and now - written_at >= pause_s) or ended:
            of = "" if whole is None else f"/{whole:g}"
            line = f"{description}  {done:g}{of}  {note}  {now - started_at:.0f} s"
            console.print(re.sub("   +", "  ", line), soft_wrap=True, highlight=False, markup=False)
            written_at = now

    return report


@contextmanager
def track_steps(description: str, total: int) -> Iterator[Callable[[int, float], bool]]:
    """Shows the progress of supervised training: its step and its loss."""
    smoothed = float("nan")
    with track(description, total, pause_s=10.0) as report:

        def after_step(step: int, loss: float) -> bool:
            nonlocal smoothed
            smoothed = loss if step == 1 else 0.95 * smoothed + 0.05 * loss
            report(step, f"loss {smoothed:.3f}")
            return True

        yield after_step
