"""Progress bars for training and other long work, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from textenv.cli.progress import track

__all__ = ["track", "track_steps"]


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
