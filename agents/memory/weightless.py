"""Runs PyTorch code on tensors without memory, and counts the bytes that it would hold."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, PreTrainedModel

from agents.models.loading import load_model_config

# Larger tensors have no memory, even if they are made of real ones.
_LARGEST_REAL_BYTES = 4 << 20
_aten = torch.ops.aten
_INDEXING = (
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
    _aten._unsafe_index_put.default,
)
_BITS = {"4bit": 4, "8bit": 8}
_BLOCK = 64  # weights that share a scale of one byte in 4 bits


class ByteCounter(TorchDispatchMode):
    """Counts the bytes of all storages that operations have made and that still live.

    Attributes:
        live_bytes: Bytes now.
        peak_bytes: Most bytes since the start, or since `start_peak`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # has no types
        self.live_bytes = 0
        self.peak_bytes = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def start_peak(self) -> None:
        """Forgets the peak so far."""
        self.peak_bytes = self.live_bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Runs one operation and counts what it made."""
        out = self.compute(func, args, kwargs or {})
        self.count(out)
        return out

    def compute(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Runs one operation."""
        return func(*args, **kwargs)

    def count(self, values: Any) -> None:
        """Counts the storages of tensors, each once for as long as it lives."""
        for storage in (x.untyped_storage() for x in tree_leaves(values) if isinstance(x, Tensor)):
            if storage._cdata not in self._known:
                key, n_bytes = storage._cdata, storage.nbytes()
                self._known[key] = weakref.ref(storage, partial(self._forget, key, n_bytes))
                self.live_bytes += n_bytes
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _forget(self, key: int, n_bytes: int, _: object) -> None:
        del self._known[key]
        self.live_bytes -= n_bytes


class Weightless(ByteCounter):  # type: ignore[no-untyped-call] # has no types
    """A byte counter in which nothing large has memory.

    Tensors of a model have a shape and a type only (PyTorch's fake tensors), and so has whatever is
    computed of them. Small tensors that decide what is done, such as token ids, lengths and masks,
    are real. A number that is read off a fake tensor is 1, a truth is False (checks ask whether
    something is wrong), and two tensors are equal. It is entered inside of `MemoryReaders`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def build_model(self, model: str, quantize: str | None = None) -> PreTrainedModel:
        """Makes a model from its configuration alone: `load_model` without weights."""
        config = load_model_config(model)
        with self._fake:
            built: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call] # has no types
            if quantize is not None:
                _quantize(built, quantize)
        self.count([*built.parameters(), *built.buffers()])
        for part in (built, built.base_model):
            # There is nothing to move to another device, and PyTorch refuses to try.
            part._apply = lambda *_, part=part: part
        result: PreTrainedModel = built.eval()
        return result

    def compute(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Runs one operation, without memory unless it is small and all that goes in is real."""
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        is_fake = [isinstance(tensor, FakeTensor) for tensor in tensors]
        any_fake = any(is_fake)
        if any_fake and func is _aten._local_scalar_dense.default:
            dtype = tensors[0].dtype
            return False if dtype == torch.bool else torch.ones((), dtype=dtype).item()
        if any_fake and func in (_aten.allclose.default, _aten.equal.default):
            return True
        if func in _INDEXING:
            args = [args[0], _masks_to_indices(args[1]), *args[2:]]
        fake_args, fake_kwargs = args, kwargs
        if not all(is_fake):
            fake_args, fake_kwargs = tree_map(self._without_memory, (args, kwargs))
        try:
            with self._fake:
                out = func(*fake_args, **fake_kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            if any_fake:
                raise
            return func(*args, **kwargs)
        n_bytes = sum(x.nbytes for x in tree_leaves(out) if isinstance(x, Tensor))
        is_real = not any_fake and n_bytes <= _LARGEST_REAL_BYTES
        return func(*args, **kwargs) if is_real else out

    def _without_memory(self, value: Any) -> Any:
        """Replaces a real tensor by a fake one of its form, which knows of no graph or base."""
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        form = value.size(), value.stride()
        with self._fake:
            return torch.empty_strided(*form, dtype=value.dtype, device=value.device)


class MemoryReaders(TorchFunctionMode):
    """Gives ones to whatever reads the memory of a tensor that has none."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if args and isinstance(args[0], FakeTensor):
            if func is Tensor.numpy:
                return np.ones(args[0].shape, torch.empty(0, dtype=args[0].dtype).numpy().dtype)
            if func is Tensor.data_ptr:
                return args[0].untyped_storage()._cdata
        return func(*args, **(kwargs or {}))


def _masks_to_indices(indices: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Replaces real masks by the indices at which they are true: a shape must be a number."""
    found: list[Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype == torch.bool and not isinstance(index, FakeTensor):
            found.extend(index.nonzero(as_tuple=True))
        else:
            found.append(index)
    return found


class QuantizedLinear(nn.Linear):
    """A frozen linear layer of packed weights, which are unpacked for the length of a product."""

    def __init__(self, plain: nn.Linear, quantize: str) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = plain.in_features, plain.out_features
        self.bias = plain.bias
        self.n_weights = plain.weight.numel()
        n_bytes = self.n_weights * _BITS[quantize] // 8
        packed = plain.weight.new_empty(n_bytes, 1, dtype=torch.uint8)
        self.weight = nn.Parameter(packed, requires_grad=False)
        n_scales = -(-self.n_weights // _BLOCK) if quantize == "4bit" else 4 * plain.out_features
        self.register_buffer("scales", packed.new_empty(n_scales))

    def forward(self, input: Tensor) -> Tensor:
        """Computes input W^T + b; the backward pass unpacks the weights again."""
        out: Tensor = checkpoint(
            self._product, input, use_reentrant=False, preserve_rng_state=False
        )
        return out

    def _product(self, input: Tensor) -> Tensor:
        if torch.is_autocast_enabled(input.device.type):
            input = input.to(torch.get_autocast_dtype(input.device.type))
        weight = input.new_empty(self.out_features, self.in_features)
        return nn.functional.linear(input, weight, self.bias)


def _quantize(model: Any, quantize: str) -> None:
    """Replaces all linear layers of a model but its output layer, which stays as it is."""
    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child is not head:
                setattr(parent, name, QuantizedLinear(child, quantize))
