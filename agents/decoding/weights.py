"""Whether the weights of a module have changed since it decoded last.

Three looks, each cheaper and blinder than the next:

1. Counts and addresses: steps of optimizers, in-place writes that autograd counts (`copy_` under
   `no_grad`, `load_state_dict`, `torch._foreach_*`), replaced tensors, switched or merged adapters.
2. Sixteen numbers of each parameter. Writes through `.data` that change most of a parameter are
   seen: averages of weights, `polyak_update`, `vector_to_parameters`, line searches.
3. A checksum of all bits, which sees every single change, however it was made: through `.data`, by
   numpy, from another process, in a buffer.

`agents.decoding.decoder.SlotDecoder.feed` says when it takes which.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

Owners = list[dict[str, nn.Parameter | None]]

_SAMPLES = 16
# Sums of a parameter: a prime, so that rows or columns that are swapped change sums, too.
_COLUMNS = 4093
_BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


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


class WeightsContent:
    """What weights were when it was made, as samples and a checksum.

    Args:
        modules: Modules whose parameters and buffers are watched. Parameters must not move.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modules = modules
        flat = [_flat(p) for part in modules for p in part.parameters() if p.numel()]
        # Views, so that a look is one copy of a few numbers.
        self._views = [values[:: max(1, len(values) // _SAMPLES)] for values in flat]
        self.renew()

    def renew(self) -> None:
        """Takes the weights of now as those to compare with."""
        self._samples = self._sample()
        self._checksum = self._compute_checksum()

    def is_same(self, exact: bool) -> bool:
        """Tells whether weights are as they were; only an exact look sees every change."""
        if not torch.equal(self._samples, self._sample()):
            return False
        if not exact:
            return True
        sums = zip(self._checksum, self._compute_checksum(), strict=True)
        return all(torch.equal(before, now) for before, now in sums)

    def _sample(self) -> Tensor:
        return torch.cat(self._views)

    @torch.no_grad()
    def _compute_checksum(self) -> list[Tensor]:
        sums = []
        for part in self._modules:
            for tensor in (*part.parameters(), *part.buffers()):
                bits = _flat(tensor).view(_BITS[tensor.element_size()])
                n = len(bits) - len(bits) % _COLUMNS
                # Overflow wraps around, so a change of one number always changes its sum.
                sums.append(bits[:n].view(-1, _COLUMNS).sum(dim=0, dtype=bits.dtype))
                sums.append(bits[n:].clone())
        return sums


def adapter_states(modules: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Returns which of peft's adapters compute, how strongly, and which are merged."""
    return [
        (m._disable_adapters, *m.active_adapters, *m.merged_adapters, *m.scaling.values())
        for m in modules
    ]


def find_adapters(modules: Iterable[nn.Module]) -> list[Any]:
    """Returns the layers of peft's low-rank adapters."""
    return [m for part in modules for m in part.modules() if hasattr(m, "merged_adapters")]


def _flat(tensor: Tensor) -> Tensor:
    local: Any = tensor.detach()
    if hasattr(local, "to_local"):
        # A tensor that is spread over devices.
        local = local.to_local()
    flat: Tensor = local.reshape(-1)
    return flat


@functools.cache
def _optimizer_steps() -> Counter[str]:
    """Counts the steps of all optimizers: fused ones write weights without autograd seeing it."""
    steps: Counter[str] = Counter()

    def add_one(*_: Any) -> None:
        steps["all"] += 1

    register_optimizer_step_post_hook(add_one)
    return steps
