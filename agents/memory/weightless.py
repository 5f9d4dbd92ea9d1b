"""Runs PyTorch code on tensors without memory, and counts the bytes that it would hold."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from transformers import AutoModelForCausalLM, PreTrainedModel

from agents.models.loading import load_model_config

_aten = torch.ops.aten


class Weightless(TorchDispatchMode):
    """Counts the bytes of all storages that operations make, for models that have none in memory.

    A model that `build_model` makes, and all that is computed from it, has a shape and a type only
    (PyTorch's fake tensors). Everything else is real: token ids, lengths and masks decide what is
    done. A number that is read off a fake tensor is 1, a truth is False (checks ask whether
    something is wrong), and two tensors are equal. Enter it inside `MemoryReaders`.

    Attributes:
        live_bytes: Bytes of the storages that live now.
        peak_bytes: Most bytes since it was last set to `live_bytes`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # has no types
        self.live_bytes = 0
        self.peak_bytes = 0
        self._known: dict[int, weakref.ref[Any]] = {}
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def build_model(self, model: str) -> PreTrainedModel:
        """Makes a model from its configuration alone: `load_model` without weights."""
        config = load_model_config(model)
        with self._fake:
            built: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call] # has no types
        self.count([*built.parameters(), *built.buffers()])
        for part in (built, built.base_model):
            # There is nothing to move to another device, and PyTorch refuses to try.
            part._apply = lambda *_, part=part: part
        result: PreTrainedModel = built.eval()
        return result

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Runs one operation and counts what it made."""
        out = self._run(func, args, kwargs or {})
        self.count(out)
        return out

    def count(self, values: Any) -> None:
        """Counts the storages of tensors, each once for as long as it lives."""
        for tensor in (x for x in tree_leaves(values) if isinstance(x, Tensor)):
            if tensor.is_mkldnn:
                # Packed weights have a memory of their own, which nobody else can hold.
                owner: Any = tensor
                key, n_bytes = id(tensor), tensor.numel() * tensor.element_size()
            else:
                owner = tensor.untyped_storage()
                key, n_bytes = owner._cdata, owner.nbytes()
            if key not in self._known:
                self._known[key] = weakref.ref(owner, partial(self._forget, key, n_bytes))
                self.live_bytes += n_bytes
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)

    def _forget(self, key: int, n_bytes: int, _: object) -> None:
        del self._known[key]
        self.live_bytes -= n_bytes

    def _run(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Runs one operation, without memory if anything that goes in has none."""
        fake = [x for x in tree_leaves((args, kwargs)) if isinstance(x, FakeTensor)]
        if not fake:
            return func(*args, **kwargs)
        if func is _aten._local_scalar_dense.default:
            dtype = fake[0].dtype
            return False if dtype == torch.bool else torch.ones((), dtype=dtype).item()
        if func in (_aten.allclose.default, _aten.equal.default):
            return True
        args, kwargs = tree_map(self._without_memory, (args, kwargs))
        with self._fake:
            return func(*args, **kwargs)

    def _without_memory(self, value: Any) -> Any:
        """Replaces a real tensor by a fake one of its form, which knows of no graph or base."""
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        size, stride, dtype = value.size(), value.stride(), value.dtype
        with self._fake:
            return torch.empty_strided(size, stride, dtype=dtype, device=value.device)


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
