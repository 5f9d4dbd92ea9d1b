"""Decoder layers compiled by `torch.compile`, one graph for all of them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from agents.models.frozen_layers import find_layers


def compile_decoder(backbone: nn.Module) -> None:
    """Compiles each layer of a decoder in place, for passes over whole sequences.

    All layers are one piece of code, so they share what is compiled: once with gradient, once
    without, and each a second time when the shape first changes, from then on for every shape. What
    is saved, and the names of parameters, stay as they are.

    Args:
        backbone: The decoder without its output layer.

    Raises:
        ModelError: Its layers are not where those of Llama, Qwen or GPT-2 are.
    """
    for layer in find_layers(backbone)[1]:
        layer.compile()


def is_compiled(backbone: nn.Module) -> bool:
    """Tells whether any part of a module was compiled in place."""
    return any(module._compiled_call_impl is not None for module in backbone.modules())


def uncompiled() -> AbstractContextManager[Any]:
    """Returns a context in which modules run as they were written, compiled or not.

    For passes whose shapes or caches change at every call, which would be compiled again.
    """
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance
