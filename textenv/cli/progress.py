"""The progress of long work: a bar on a terminal, plain lines in a file, one line in a notebook."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from textenv.cli.terminal import make_console


class Report(Protocol):
    """Moves a bar on."""

    def __call__(self, done: float, note: str = "", total: float | None = None) -> None:
        """Takes the work done, a note to show next to it, and the total once it is known."""


@contextmanager
def track(description: str, total: float | None, pause_s: float = 0.0) -> Iterator[Report]:
    """Shows the progress of some work.

    On a terminal it is a bar on standard error. In a notebook it is one line, which changes. Else
    (nohup, Slurm) each report that has a note is a line on standard error.

    Args:
        description: What is done.
        total: The total work; None if the reports will tell.
        pause_s: Least time between two lines.
    """
    # Of several processes of one job the first shows it.
    console = make_console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")
    if console.is_jupyter:
        yield _line_writer(description, total, 0.0, _NotebookLine().show)
        return
    if not console.is_terminal:

        def print_line(line: str) -> None:
            console.print(line, soft_wrap=True, highlight=False, markup=False)

        yield _line_writer(description, total, pause_s, print_line)
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


class _NotebookLine:
    """A line below a cell of a notebook."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, line: str) -> None:
        """Shows a text in place of the one before."""
        from IPython.display import display

        shown = {"text/plain": line}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def _line_writer(
    description: str, total: float | None, pause_s: float, show: Callable[[str], None]
) -> Report:
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
            show(re.sub("   +", "  ", line))
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
