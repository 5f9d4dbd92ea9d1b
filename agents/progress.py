"""Progress bars for long work, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[float, str], None]


@contextmanager
def track(description: str, total: float) -> Iterator[Report]:
    """Shows a progress bar; the report takes how much is done, and a note to show beside it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(description, total=total, note="")

        def report(done: float, note: str = "") -> None:
            progress.update(bar, completed=done, note=note)

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
