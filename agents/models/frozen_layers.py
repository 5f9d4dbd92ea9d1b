"""Frozen parts of a language model, which several models share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from textenv.errors import ConfigError, ModelError

_LAYER_LISTS = ("layers", "h")


def find_layers(backbone: nn.Module) -> tuple[str, nn.ModuleList]:
    """Returns the name and the list of a decoder's layers."""
    for name in _LAYER_LISTS:
        layers = getattr(backbone, name, None)
        if isinstance(layers, nn.ModuleList):
            return name, layers
    family = getattr(getattr(backbone, "config", None), "model_type", type(backbone).__name__)
    raise ModelError(
        f"The layers of models of type '{family}' are not where those of Llama, Qwen or GPT-2 are, "
        "so neither frozen_layers nor lora can be used."
    )


def check_frozen_layers(backbone: nn.Module, n_frozen: int) -> None:
    """Checks that at least one layer is left to learn."""
    n_layers = len(find_layers(backbone)[1])
    if not 0 <= n_frozen < n_layers:
        raise ConfigError(
            f"frozen_layers must be from 0 to {n_layers - 1} for this model of {n_layers} layers, "
            f"not {n_frozen}."
        )


def freeze_trunk(backbone: nn.Module, n_frozen: int) -> None:
    """Freezes the embeddings and the first layers of a decoder.

    What comes after them learns. The backward pass ends there by itself, and no activations below
    are kept for it. An output layer that is tied to the embeddings is one with them, and frozen.
    """
    check_frozen_layers(backbone, n_frozen)
    list_name, layers = find_layers(backbone)
    for name, child in backbone.named_children():
        # Modules are listed in the order of the pass: the embeddings stand before the layers.
        if name == list_name:
            break
        child.requires_grad_(False)
    for layer in layers[:n_frozen]:
        layer.requires_grad_(False)


def share_frozen(model: nn.Module, owner: nn.Module) -> None:
    """Makes a model use another's frozen parameters wherever its own are the same numbers.

    The memory of its own ones is freed. Both models must name their parameters alike.
    """
    frozen = {
        name: parameter
        for name, parameter in owner.named_parameters(remove_duplicate=False)
        if not parameter.requires_grad
    }
    for name, own in list(model.named_parameters(remove_duplicate=False)):
        other = frozen.get(name)
        if other is None or own.shape != other.shape or own.dtype != other.dtype:
            continue
        if torch.equal(own.detach().to(other.device), other.detach()):
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, other)


def hold_frozen(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Keeps the linear layers of a model that do not learn in the type that autocast computes in.

    Autocast rounds their weights to it in each pass anyway, so all results stay the same; half the
    memory is free, and nothing has to be rounded again. Embeddings and norms are not rounded by
    autocast, and stay as they are. Such a model computes under autocast only.
    """
    embeddings: Any = model.get_input_embeddings()
    for module in model.modules():
        if not isinstance(module, nn.Linear | Conv1D) or module.weight is embeddings.weight:
            continue
        for parameter in module.parameters(recurse=False):
            if not parameter.requires_grad and parameter.is_floating_point():
                parameter.data = parameter.data.to(dtype)


class SharedTrunk:
    """The pass of frozen lower layers, computed by one model and taken over by another.

    What is recorded is used at most once, and only for the same tensor of tokens; in all other
    cases the layers compute as usual, so it can only save work.

    Args:
        source: The decoder that computes.
        target: The decoder that takes over; may be the source itself, its adapter switched off.
        n_layers: How many lower layers are the same in both, embeddings included.
    """

    def __init__(self, source: nn.Module, target: nn.Module, n_layers: int) -> None:
        self._source = source
        self._last = find_layers(source)[1][n_layers - 1]
        self._layers = find_layers(target)[1][:n_layers]
        self._input_ids: Tensor | None = None
        self._hidden: Any = None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Records the next pass of the source."""
        self._input_ids = self._hidden = None
        handles = (
            self._source.register_forward_pre_hook(self._note_tokens, with_kwargs=True),
            self._last.register_forward_hook(self._note_hidden),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def replaying(self, input_ids: Tensor) -> Iterator[None]:
        """Lets the target take over what was recorded of the same tokens, if anything was."""
        hidden, recorded = self._hidden, self._input_ids
        self._input_ids = self._hidden = None
        if hidden is None or recorded is not input_ids:
            yield
            return
        for layer in self._layers:
            layer.forward = lambda *_, **__: hidden
        try:
            yield
        finally:
            for layer in self._layers:
                del layer.forward

    def _note_tokens(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        self._input_ids, self._hidden = kwargs.get("input_ids"), None

    def _note_hidden(self, module: nn.Module, args: Any, output: Any) -> None:
        self._hidden = output
