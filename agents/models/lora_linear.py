"""A linear layer with a low-rank adapter beside it, without passes over its outputs."""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners import lora
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from agents.models.cpu_products import OneDNNLinear, product

_BASES = (nn.Linear, OneDNNLinear)


class LoraLinear(lora.Linear):
    """peft's layer, whose forward pass is W x + s B (A x) as three products.

    peft adds the adapter's output to the layer's by passes of their own, and casts the input for
    it; on a CPU these take about as long as the gradient of the weights that LoRA saves. Whatever
    else peft can do, such as merged or several adapters, is left to peft.
    """

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Returns what the layer and its adapter make of (..., in) inputs, (..., out)."""
        base: Any = self.get_base_layer()
        names = self.active_adapters
        plain = not (args or kwargs or self.disable_adapters or self.merged or self.lora_variant)
        if torch.compiler.is_compiling():
            plain = False  # the compiler fuses peft's passes, and cannot read a gradient of ours
        if not plain or len(names) != 1 or names[0] not in self.lora_A:
            output: Tensor = super().forward(x, *args, **kwargs)
            return output
        name = names[0]
        tensors = [x, base.weight, self.lora_A[name].weight, self.lora_B[name].weight]
        bias: Tensor | None = base.bias
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            tensors = [tensor.to(dtype) for tensor in tensors]
            bias = None if bias is None else bias.to(dtype)
        if base.weight.requires_grad or len({tensor.dtype for tensor in tensors}) > 1:
            output = super().forward(x)
            return output
        output = _LoraProduct.apply(*tensors, bias, self.scaling[name])  # type: ignore[no-untyped-call] # has no types
        return output


class _LoraProduct(torch.autograd.Function):
    """y = W x + s B (A x), with gradients of x, A and B."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, bias: Tensor | None, scale: float
    ) -> Tensor:
        inputs = x.reshape(-1, x.shape[-1])
        low = product(inputs, a)  # (tokens, r)
        outputs = product(inputs, weight, bias).addmm_(low, b.T, alpha=scale)
        ctx.save_for_backward(inputs, weight, a, b, low)
        ctx.scale, ctx.shape = scale, x.shape
        return outputs.view(*x.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        inputs, weight, a, b, low = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        grad_low = product(grad, b.T.contiguous()).mul_(ctx.scale)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = product(grad, weight.T).addmm_(grad_low, a).view(ctx.shape)
        # As (r, out): a product with few columns takes longer than one with few rows.
        grad_b = (low.T @ grad).T.mul(ctx.scale)
        return grad_x, None, grad_low.T @ inputs, grad_b, None, None


def fuse_adapters(model: nn.Module) -> None:
    """Has the adapted linear layers of a model use `LoraLinear`, in place."""
    for module in model.modules():
        # Quantized layers, and those of GPT-2, have classes of their own.
        if type(module) is lora.Linear and type(module.get_base_layer()) in _BASES:
            module.__class__ = LoraLinear
