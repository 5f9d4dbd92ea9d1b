"""Linear layers that hold as many bytes as bitsandbytes' quantized ones, and compute as they do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

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
