"""A module's weights while it decodes: their version, and copies in autocast's type."""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers.pytorch_utils import Conv1D

Owners = list[dict[str, nn.Parameter | None]]


class WeightsVersion(NamedTuple):
    """Equal as long as weights are, but for what is written through `.data`.

    Attributes:
        n_steps: Number of steps of all optimizers so far.
        writes: Address of each parameter's memory, and how often it was written to in place.
    """

    n_steps: int
    writes: list[tuple[int, int]]


def find_owners(modules: Iterable[nn.Module]) -> Owners:
    """Returns where modules keep their parameters: an assignment replaces the objects there."""
    return [m._parameters for part in modules for m in part.modules() if m._parameters]


def weights_version(owners: Owners) -> WeightsVersion:
    """Returns the version of the parameters that are there now."""
    writes = [(p.data_ptr(), p._version) for own in owners for p in own.values() if p is not None]
    return WeightsVersion(_optimizer_steps().total(), writes)


@functools.cache
def _optimizer_steps() -> Counter[str]:
    """Counts the steps of all optimizers: fused ones write weights without autograd seeing it."""
    steps: Counter[str] = Counter()

    def add_one(*_: Any) -> None:
        steps["all"] += 1

    register_optimizer_step_post_hook(add_one)
    return steps


class Precast:
    """A twin of a module that gives under autocast what the module gives, and casts no weights.

    Autocast casts the weights of linear layers in every pass, which in decoding costs as much as
    the pass itself. The twin shares everything else with the module: embeddings, norms, buffers.

    Args:
        module: What computes; linear layers in another type than float32 are shared, too.
        dtype: Autocast's type.

    Attributes:
        twin: The module to call, in eval mode.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        memo: dict[int, Any] = {}
        for tensor in (*module.parameters(), *module.buffers()):
            memo[id(tensor)] = tensor
        for part in module.modules():
            config = getattr(part, "config", None)
            if config is not None:
                memo[id(config)] = config
        self._sources: list[Tensor] = []
        self._copies: list[Tensor] = []
        for weight in _linear_weights(module):
            self._sources.append(weight)
            self._copies.append(weight.detach().to(dtype))
            memo[id(weight)] = nn.Parameter(self._copies[-1], requires_grad=False)
        self.twin = copy.deepcopy(module, memo).eval()

    @torch.no_grad()
    def refresh(self) -> None:
        """Takes over the module's weights, in place, so that a captured graph stays valid."""
        torch._foreach_copy_(self._copies, self._sources)


def can_precast(module: nn.Module) -> bool:
    """Tells whether there is anything to gain, and no quantized weight, which is more than data."""
    if any(not p.is_floating_point() for p in module.parameters()):
        return False
    return bool(_linear_weights(module))


def _linear_weights(module: nn.Module) -> list[nn.Parameter]:
    found: dict[int, nn.Parameter] = {}
    for part in module.modules():
        if isinstance(part, nn.Linear | Conv1D):
            for parameter in part._parameters.values():
                if parameter is not None and parameter.dtype == torch.float32:
                    found[id(parameter)] = parameter
    return list(found.values())
