"""Runs the engine's own code without its weights, and counts the bytes that it would hold.

Tensors of the model have a shape and a type but no memory (torch's fake tensors); small ones that
decide what is done, such as token ids, lengths and masks, are real. So what is counted is what the
code does, not what a formula says of it.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Self

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
from transformers import AutoModelForCausalLM, PreTrainedModel

from agents.models.loading import building_models

# Tensors beyond this stay without memory, even where only real ones went in.
_LARGEST_REAL_BYTES = 4 << 20
_aten = torch.ops.aten
# Their boolean masks stand second; places are needed instead, since a shape must be a number.
_INDEXING = {
    _aten.index.Tensor: 1,
    _aten.index_put.default: 1,
    _aten.index_put_.default: 1,
    _aten._index_put_impl_.default: 1,
    _aten._unsafe_index_put.default: 1,
}


class ByteCounter(TorchDispatchMode):
    """Counts the bytes of all storages that operations have made and that still live.

    Attributes:
        live_bytes: Now.
        peak_bytes: The most since the start, or since `start_peak`.
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
        for value in tree_leaves(values):
            if isinstance(value, Tensor):
                self._add(value.untyped_storage())

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, n_bytes = storage._cdata, storage.nbytes()
        if key in self._known:
            return

        def forget(_: object) -> None:
            del self._known[key]
            self.live_bytes -= n_bytes

        self._known[key] = weakref.ref(storage, forget)
        self.live_bytes += n_bytes
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)


class Weightless(ByteCounter):  # type: ignore[no-untyped-call] # has no types
    """A byte counter in which nothing large has memory.

    Whatever touches a fake tensor is fake, as is every large result. A number that is read off a
    fake tensor is 1, a truth is False (checks ask whether something is wrong), and two tensors are
    equal. Inside, `agents.models.loading.load_model` makes models of their configuration alone.
    """

    def __init__(self) -> None:
        super().__init__()
        # The process's own real tensors may meet fake ones: ids, masks, schedules.
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._around = ExitStack()

    def __enter__(self) -> Self:
        """Starts counting."""
        self._around.enter_context(building_models(self._build))
        self._around.enter_context(_Readers())
        super().__enter__()  # type: ignore[no-untyped-call] # has no types
        return self

    def __exit__(self, *error: Any) -> None:
        """Ends counting."""
        super().__exit__(*error)  # type: ignore[no-untyped-call] # has no types
        self._around.close()

    def _build(self, config: Any, dtype: torch.dtype, quantize: str | None) -> PreTrainedModel:
        with self._fake:
            model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call] # has no types
            if quantize is not None:
                quantize_layers(model, quantize)
        self.count([*model.parameters(), *model.buffers()])
        # There is nothing to move to another device, and torch refuses to try.
        for part in (model, model.base_model):
            part._apply = lambda *_, part=part: part
        result: PreTrainedModel = model.eval()
        return result

    def compute(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Runs one operation, without memory unless it is small and all that goes in is real."""
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        any_fake = any(isinstance(tensor, FakeTensor) for tensor in tensors)
        if any_fake and func is _aten._local_scalar_dense.default:
            dtype = tensors[0].dtype
            return False if dtype == torch.bool else torch.ones((), dtype=dtype).item()
        if any_fake and func in (_aten.allclose.default, _aten.equal.default):
            return True
        if func in _INDEXING:
            args = list(args)
            place = _INDEXING[func]
            args[place] = _mask_to_places(args[place])
        if not any_fake and _is_surely_small(args, tensors):
            return func(*args, **kwargs)
        if any_fake:
            args, kwargs = tree_map(self._without_memory, (args, kwargs))
        try:
            with self._fake:
                out = func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            if any_fake:
                raise
            return func(*args, **kwargs)
        n_bytes = sum(x.nbytes for x in tree_leaves(out) if isinstance(x, Tensor))
        if any_fake or n_bytes > _LARGEST_REAL_BYTES:
            return out
        return func(*args, **kwargs)

    def _without_memory(self, value: Any) -> Any:
        """Replaces a real tensor by a fake one of its form, which knows of no graph or base."""
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        with self._fake:
            return torch.empty_strided(
                value.size(), value.stride(), dtype=value.dtype, device=value.device
            )


class _Readers(TorchFunctionMode):
    """What reads a tensor's memory finds ones where there is none."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if args and isinstance(args[0], FakeTensor):
            if func is Tensor.numpy:
                return np.ones(args[0].shape, torch.empty(0, dtype=args[0].dtype).numpy().dtype)
            if func is Tensor.data_ptr:
                return args[0].untyped_storage()._cdata
        return func(*args, **(kwargs or {}))


def _mask_to_places(indices: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Replaces real boolean masks by the places that they are true at."""
    places: list[Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype == torch.bool and not isinstance(index, FakeTensor):
            places.extend(index.nonzero(as_tuple=True))
        else:
            places.append(index)
    return places


def _is_surely_small(args: Sequence[Any], tensors: Sequence[Tensor]) -> bool:
    """Tells whether the result is no larger than its operands make each other, and that small."""
    names_sizes = any(isinstance(x, list | tuple) and x and isinstance(x[0], int) for x in args)
    if not tensors or names_sizes:
        return False
    sizes = itertools.zip_longest(*(tensor.shape[::-1] for tensor in tensors), fillvalue=1)
    n_elements = math.prod(max(size) for size in sizes)
    return n_elements * 8 <= _LARGEST_REAL_BYTES


_BITS = {"4bit": 4, "8bit": 8}
_BLOCK = 64  # weights that share a scale in 4 bits; the scales themselves take a byte each


class QuantizedLinear(nn.Linear):
    """A frozen linear layer of packed weights, which are unpacked for the length of a product."""

    def __init__(self, plain: nn.Linear, quantize: str) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = plain.in_features, plain.out_features
        self.n_weights = n_weights = plain.weight.numel()
        weight = plain.weight
        packed = weight.new_empty(n_weights * _BITS[quantize] // 8, 1, dtype=torch.uint8)
        self.weight = nn.Parameter(packed, requires_grad=False)
        n_scales = -(-n_weights // _BLOCK) if quantize == "4bit" else 4 * plain.out_features
        self.register_buffer("scales", weight.new_empty(n_scales, dtype=torch.uint8))
        self.bias = plain.bias

    def forward(self, input: Tensor) -> Tensor:
        """Computes input W^T + b."""
        if torch.is_autocast_enabled(input.device.type):
            input = input.to(torch.get_autocast_dtype(input.device.type))
        out: Tensor = _Product.apply(input, self.weight, self.out_features)  # type: ignore[no-untyped-call] # has no types
        return out if self.bias is None else out + self.bias.to(out.dtype)


class _Product(torch.autograd.Function):
    """Keeps packed weights for the backward pass, which unpacks them again."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, packed: Tensor, out_features: int) -> Tensor:
        ctx.save_for_backward(input, packed)
        ctx.out_features = out_features
        return input @ input.new_empty(input.shape[-1], out_features)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        input, _ = ctx.saved_tensors
        return grad @ grad.new_empty(ctx.out_features, input.shape[-1]), None, None


def quantize_layers(model: Any, quantize: str) -> None:
    """Replaces all linear layers of a model but its output layer, which stays as it is."""
    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and child is not head:
                setattr(parent, name, QuantizedLinear(child, quantize))
