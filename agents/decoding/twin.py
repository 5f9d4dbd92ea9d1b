"""A twin of a module that decodes: its linear layers' weights are cast, packed and merged once."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.distributed.fsdp import FSDPModule
from transformers.pytorch_utils import Conv1D

from agents.models.cpu_products import OneDNNLinear, can_pack, pack, packed_product

_LINEAR = (nn.Linear, OneDNNLinear, Conv1D)


class Twin:
    """A copy of a module that computes what the module computes, at less cost for few tokens.

    Autocast casts the weights of linear layers in every pass, a CPU's products lay them out anew,
    and an adapter takes products of its own: in decoding each of these costs as much as the pass
    itself. The twin does it once for all passes of the same weights, in other forward functions of
    the same layers; everything else, parameters included, it shares with the module.

    Args:
        module: What computes; linear layers of other classes, such as quantized ones, and adapters
            that are no plain LoRA compute in the twin as they do in the module.
        dtype: Autocast's type; None where it is off.

    Attributes:
        module: The copy to call, in eval mode.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype | None) -> None:
        memo: dict[int, Any] = {}
        for tensor in (*module.parameters(), *module.buffers()):
            memo[id(tensor)] = tensor
        for part in module.modules():
            config = getattr(part, "config", None)
            if config is not None:
                memo[id(config)] = config
        self.module = copy.deepcopy(module, memo).eval()
        self._products: list[_Product] = []
        for layer in list(_linear_layers(self.module)):
            made = _Product(layer, dtype)
            self._products.append(made)
            layer.forward = made.compute
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Takes over the module's weights, in place where a captured graph reads them."""
        for product in self._products:
            product.refresh()


def wants_twin(module: nn.Module, is_autocast: bool) -> bool:
    """Tells whether there is anything to gain from a twin, and it can be made.

    Quantized weights are more than data, and weights that are divided over processes are only
    gathered for a pass.
    """
    if any(not p.is_floating_point() for p in module.parameters()):
        return False
    if any(isinstance(part, FSDPModule) for part in module.modules()):
        return False
    layers = list(_linear_layers(module))
    return any(
        is_autocast or _adapter_of(layer) is not None or _packs(_base_of(layer).weight)
        for layer in layers
    )


class _Product:
    """W x + b of one layer, or W x + b + s B A x of one with an adapter.

    In float32 the adapter is merged: W + s B A. Of lower types it would be lost by that, as long as
    it is small: W has been rounded to such a type, and from there to W + s B A is less than half a
    step. So A stands below W, as further rows of one product, and B follows.
    """

    def __init__(self, layer: Any, dtype: torch.dtype | None) -> None:
        self._layer = layer
        weight = _base_of(layer).weight
        self._dtype: torch.dtype = weight.dtype if dtype is None else dtype
        self._is_packed = _packs(weight.new_empty(0, dtype=self._dtype))
        self._weight: Tensor | None = None
        self._bias: Tensor | None = None
        self._b: Tensor | None = None
        self._scale = 1.0
        self._n_outputs = 0

    def refresh(self) -> None:
        """Takes over the weights of now."""
        base, name = _base_of(self._layer), _adapter_of(self._layer)
        weight, bias = base.weight, base.bias
        if isinstance(base, Conv1D):
            weight = weight.T
        self._n_outputs = len(weight)
        if name is not None:
            layer = self._layer
            a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
            if self._dtype == torch.float32:
                weight = torch.addmm(weight.float(), b, a, alpha=layer.scaling[name])
            else:
                weight = torch.cat([weight.to(self._dtype), a.to(self._dtype)])
                self._b = _renew(self._b, b.T.to(self._dtype))
                self._scale = layer.scaling[name]
                if bias is not None:
                    bias = torch.cat([bias, bias.new_zeros(len(a))])
        if self._is_packed and not isinstance(weight, FakeTensor):
            self._weight = pack(weight.to(self._dtype))
        else:
            self._weight = _renew(self._weight, weight.to(self._dtype))
        if bias is not None:
            self._bias = _renew(self._bias, bias.to(self._dtype))

    def compute(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        """Returns the layer's output for inputs (..., in)."""
        weight = self._weight
        assert weight is not None
        x = x.to(self._dtype)
        if weight.is_mkldnn:
            output = packed_product(x, weight, self._bias)
        else:
            output = nn.functional.linear(x, weight, self._bias)
        if self._b is None:
            return output
        n = self._n_outputs
        rows = output.reshape(-1, output.shape[-1])
        adapted = rows[:, :n].addmm_(rows[:, n:], self._b, alpha=self._scale)
        return adapted.view(*x.shape[:-1], n)


def _renew(kept: Tensor | None, values: Tensor) -> Tensor:
    """Copies values to where they are kept; a tensor of its own at first."""
    return values.detach().clone() if kept is None else kept.copy_(values)


def _packs(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and can_pack(weight.dtype)


def _linear_layers(module: nn.Module) -> Iterator[nn.Module]:
    """Yields the layers that can be computed otherwise: outer ones alone, of those in another."""
    if _is_plain_lora(module) or type(module) in _LINEAR:
        yield module
        return
    for child in module.children():
        yield from _linear_layers(child)


def _is_plain_lora(module: Any) -> bool:
    """Tells whether a module is peft's low-rank layer, with at most one adapter at work."""
    if importlib.util.find_spec("peft") is None:
        return False
    from peft.tuners import lora

    if not isinstance(module, lora.Linear) or type(module.get_base_layer()) not in _LINEAR:
        return False
    names = _working(module)
    known = all(name not in module.lora_variant and not module.lora_bias[name] for name in names)
    # peft unmerges an adapter that is off and merged.
    return known and len(names) <= 1 and not (module.merged and module.disable_adapters)


def _working(layer: Any) -> list[str]:
    """Returns the adapters that add something to a layer's output."""
    if layer.disable_adapters or layer.merged:
        return []
    return [name for name in layer.active_adapters if name in layer.lora_A]


def _adapter_of(layer: Any) -> str | None:
    return next(iter(_working(layer)), None) if hasattr(layer, "lora_A") else None


def _base_of(layer: Any) -> Any:
    return layer.get_base_layer() if hasattr(layer, "lora_A") else layer
