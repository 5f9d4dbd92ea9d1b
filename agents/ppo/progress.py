"""What is logged and shown while an agent learns."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
from stable_baselines3.common.logger import Logger

if TYPE_CHECKING:
    from textenv.cli.progress import Report

# SB3 prints names cut to about this length, and fails if two are then equal.
_LONGEST_PRINTED = len("rollout/") + 30


def record_metrics(logger: Logger, metrics: Mapping[str, float]) -> None:
    """Records numbers in SB3's logger; those with long names are not printed."""
    for name, value in metrics.items():
        logger.record(name, value, "stdout" if len(name) > _LONGEST_PRINTED else None)


def recorded_numbers(logger: Logger) -> dict[str, float]:
    """Returns the numbers that are recorded; callbacks may record texts and pictures, too."""
    return {
        name: float(value)
        for name, value in logger.name_to_value.items()
        if isinstance(value, int | float | np.number)
    }


def describe_iteration(metrics: Mapping[str, float]) -> str:
    """Describes an iteration in a few words."""
    return (
        f"reward {metrics['rollout/reward_mean']:.3f}  KL {metrics['kl/ref']:.2f}  "
        f"{metrics['time/tokens_per_s']:.0f} tokens/s"
    )


def track_budget(total: int | None) -> AbstractContextManager[Report]:
    """Returns a progress bar over a budget; without a budget, nothing is shown."""
    if total is None:
        return nullcontext(lambda done, note="", total=None: None)
    from textenv.cli.progress import track

    return track("Training", total)
