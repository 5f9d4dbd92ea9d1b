"""Log-probabilities of given tokens, with logits that live for one chunk of positions at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Numbers in the logits of one chunk, by default: 128 MiB in float32.
CHUNK_LOGITS = 2**25


def token_logprobs(
    head: nn.Module,
    hidden: Tensor,
    targets: Tensor,
    vocab_size: int,
    *,
    temperature: float = 1.0,
    chunk_size: int | None = None,
    with_entropy: bool = False,
    twice_differentiable: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Returns the log-probabilities of given tokens, with logits only where they are needed.

    The backward pass is written out, so that nothing of size (n, vocabulary) is kept for it where
    there are several chunks: each chunk's logits are computed again then. They are float32 from the
    output layer on, also under autocast.

    Args:
        head: the output layer, linear.
        hidden: (n, hidden) final states before each of the tokens.
        targets: (n,) token ids.
        vocab_size: the tokenizer's highest id + 1; further rows of the head take no part.
        temperature: that of the sampling.
        chunk_size: positions whose logits live at once; by default as many as fill 128 MiB.
        with_entropy: whether to compute entropies, too.
        twice_differentiable: whether the gradient has a gradient; all logits are kept then.

    Returns:
        Log-probabilities (n,), and entropies (n,) in nats or None.
    """
    weight: Tensor = head.weight[:vocab_size]  # type: ignore[index] # a linear layer
    bias: Tensor | None = getattr(head, "bias", None)
    if bias is not None:
        bias = bias[:vocab_size]
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    if twice_differentiable:
        logprobs = _log_softmax(hidden, weight, bias, temperature)
        chosen = logprobs.gather(1, targets[:, None])[:, 0]
        return chosen, _entropy(logprobs) if with_entropy else None
    chunk_size = chunk_size or max(1, CHUNK_LOGITS // weight.shape[0])
    chosen, entropy = _TokenLogprobs.apply(  # type: ignore[no-untyped-call] # has no types
        hidden, weight, bias, targets, temperature, chunk_size, with_entropy
    )
    return chosen, entropy


class _TokenLogprobs(torch.autograd.Function):
    """log p(y) of tokens y, and the entropy H of their distributions.

    With z the logits before division by the temperature T, and [v = y] one or zero:

        d log p(y) / dz_v = ([v = y] - p_v) / T
        d H / dz_v = -p_v (log p_v + H) / T
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        temperature: float,
        chunk_size: int,
        with_entropy: bool,
    ) -> tuple[Tensor, Tensor | None]:
        n = len(targets)
        chosen = hidden.new_empty(n, dtype=torch.float32)
        entropy = torch.empty_like(chosen) if with_entropy else None
        kept: Tensor | None = None
        for chunk in _chunks(n, chunk_size):
            logprobs = _log_softmax(hidden[chunk], weight, bias, temperature)
            chosen[chunk] = logprobs.gather(1, targets[chunk, None])[:, 0]
            if entropy is not None:
                entropy[chunk] = _entropy(logprobs)
            kept = logprobs
        # Those of a single chunk are at hand already.
        ctx.save_for_backward(hidden, weight, bias, targets, kept if n <= chunk_size else None)
        ctx.temperature, ctx.chunk_size = temperature, chunk_size
        ctx.set_materialize_grads(False)
        return chosen, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_chosen: Tensor | None, grad_entropy: Tensor | None) -> Any:
        hidden, weight, bias, targets, kept = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        # Sums over many chunks keep their digits in float32.
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if needs_weight else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if needs_bias else None
        for chunk in _chunks(len(targets), ctx.chunk_size):
            logprobs = kept
            if logprobs is None:
                logprobs = _log_softmax(hidden[chunk], weight, bias, ctx.temperature)
            grad = _grad_of_logits(
                logprobs,
                targets[chunk, None],
                None if grad_chosen is None else grad_chosen[chunk, None],
                None if grad_entropy is None else grad_entropy[chunk, None],
            )
            grad = grad.div_(ctx.temperature).to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(grad, weight, out=grad_hidden[chunk])
            if grad_weight is not None:
                grad_weight += grad.T @ hidden[chunk]
            if grad_bias is not None:
                grad_bias += grad.sum(dim=0)
        return (
            grad_hidden,
            None if grad_weight is None else grad_weight.to(weight.dtype),
            None if grad_bias is None else grad_bias.to(bias.dtype),
            *(None, None, None, None),
        )


def _grad_of_logits(
    logprobs: Tensor, ids: Tensor, grad_chosen: Tensor | None, grad_entropy: Tensor | None
) -> Tensor:
    """Returns the gradient (n, vocabulary) at the logits divided by the temperature."""
    probs = logprobs.exp()
    if grad_chosen is None:
        grad = torch.zeros_like(probs)
    elif grad_entropy is None:
        grad = probs.mul_(-grad_chosen)  # in place: memory for so many numbers is dear
    else:
        grad = probs * -grad_chosen
    if grad_chosen is not None:
        grad.scatter_add_(1, ids, grad_chosen)
    if grad_entropy is not None:
        surprise = logprobs.clamp(min=torch.finfo(logprobs.dtype).min)
        surprise += _entropy(logprobs)[:, None]
        grad -= probs * surprise * grad_entropy
    return grad


def _chunks(n: int, chunk_size: int) -> list[slice]:
    return [slice(start, start + chunk_size) for start in range(0, n, chunk_size)]


def _log_softmax(hidden: Tensor, weight: Tensor, bias: Tensor | None, temperature: float) -> Tensor:
    logits = nn.functional.linear(hidden, weight, bias).float()
    return torch.log_softmax(logits if temperature == 1.0 else logits / temperature, dim=-1)


def _entropy(logprobs: Tensor) -> Tensor:
    # The clamp makes 0 log 0 = 0.
    return -(logprobs.exp() * logprobs.clamp(min=torch.finfo(logprobs.dtype).min)).sum(-1)
