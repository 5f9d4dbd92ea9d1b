"""Tells whether weights have changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

Owners = list[dict[str, nn.Parameter | None]]


class WeightsVersion(NamedTuple):
    """Equal as long as weights are, but for what is written through `.data`.

    Attributes:
        n_steps: Steps of all optimizers so far.
        writes: Where each parameter's memory lies and how often it was written to in place.
    """

    n_steps: int
    writes: list[tuple[int, int]]


def find_owners(modules: Iterable[nn.Module]) -> Owners:
    """Returns where modules keep their parameters: an assignment replaces the objects there."""
    return [m._parameters for part in modules for m in part.modules() if m._parameters]


def weights_version(owners: Owners) -> WeightsVersion:
    """Returns the version of the parameters that are there now."""
    _OPTIMIZER_STEPS.start()
    writes = [(p.data_ptr(), p._version) for own in owners for p in own.values() if p is not None]
    return WeightsVersion(_OPTIMIZER_STEPS.count, writes)


class _StepCounter:
    """Counts the steps of all optimizers: fused ones write weights without autograd seeing it."""

    def __init__(self) -> None:
        self.count = 0
        self._is_started = False

    def start(self) -> None:
        """Hooks the counter in, once."""
        if not self._is_started:
            register_optimizer_step_post_hook(self._add_one)
            self._is_started = True

    def _add_one(self, *_: Any) -> None:
        self.count += 1


_OPTIMIZER_STEPS = _StepCounter()
