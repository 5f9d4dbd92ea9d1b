"""A module whose linear layers hold their weights in the type that autocast computes in."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


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
