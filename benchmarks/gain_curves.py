"""Draws the curves of a training run as a picture, with matplotlib (the extra `plots`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def draw_curves(path: Path, rewards: Sequence[float], kls: Sequence[float], title: str) -> None:
    """Draws reward and KL over the iterations, side by side."""
    figure = Figure(figsize=(9, 3.6), dpi=100, layout="constrained")
    figure.suptitle(title)
    panels = (
        (rewards, "reward, sampled", "tab:blue"),
        (kls, "KL to the start, nats a sequence", "tab:orange"),
    )
    for axes, (values, name, color) in zip(figure.subplots(1, 2), panels, strict=True):
        axes.plot(range(1, len(values) + 1), values, color=color, marker="o" * (len(values) == 1))
        axes.set_title(name, color=color, fontsize="medium")
        axes.set_xlabel("iteration")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_ylim(bottom=min(0.0, *values))
        axes.grid(alpha=0.3)
    figure.savefig(path)
