"""What is shown while an agent learns."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textenv.cli.progress import Report


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
