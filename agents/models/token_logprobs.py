"""Log-probabilities of given tokens, with logits that live for one chunk of positions at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from agents.models.cpu_products import product

# Numbers in the logits of one chunk, by default: 128 MiB in float32.
CHUNK_LOGITS = 2**25
# Numbers that a CPU takes through all steps of a softmax before it takes the next, within its cache
# of the second level; on large vocabularies each step from memory takes as long as a product.
_BLOCK_LOGITS = 2**18
# Log-probabilities are held above this, whose exp is 0 in float32.
_LOWEST = -1e4


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
    there are several chunks: each chunk's logits are computed again then. The softmax is float32,
    also under autocast.

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
    weight, bias = _rows_of(head, vocab_size)
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
        bias = None if bias is None else bias.to(dtype)
    if twice_differentiable:
        logits = _scores(nn.functional.linear(hidden, weight, bias), temperature)
        logprobs = logits.log_softmax(dim=1)
        chosen = logprobs.gather(1, targets[:, None])[:, 0]
        if not with_entropy:
            return chosen, None
        # The clamp makes 0 log 0 = 0.
        return chosen, -(logprobs.exp() * logprobs.clamp(min=_LOWEST)).sum(dim=1)
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
        # log of the sum over exp z
        norms = torch.empty_like(chosen)
        entropy = torch.empty_like(chosen) if with_entropy else None
        logits: Tensor | None = None
        for chunk in _chunks(n, chunk_size):
            logits = product(hidden[chunk], weight, bias)
            for block in _blocks(logits):
                at = slice(chunk.start + block.start, chunk.start + block.stop)
                scores = _scores(logits[block], temperature)
                top = scores.amax(dim=1, keepdim=True)
                below = scores - top
                chosen[at] = below.gather(1, targets[at, None])[:, 0]
                # The clamp makes 0 log 0 = 0.
                weights = below.clamp_(min=_LOWEST).exp()
                total = weights.sum(dim=1)
                log_total = total.log()
                chosen[at] -= log_total
                norms[at] = top[:, 0] + log_total
                if entropy is not None:
                    entropy[at] = log_total - weights.mul_(below).sum(dim=1) / total
        # Those of a single chunk are at hand already.
        kept = logits if n <= chunk_size else None
        ctx.save_for_backward(hidden, weight, bias, targets, norms, entropy, kept)
        ctx.temperature, ctx.chunk_size = temperature, chunk_size
        ctx.set_materialize_grads(False)
        return chosen, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_chosen: Tensor | None, grad_entropy: Tensor | None) -> Any:
        hidden, weight, bias, targets, norms, entropy, kept = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        n = len(targets)
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_weight: Tensor | None = None
        grad_bias: Tensor | None = None
        for chunk in _chunks(n, ctx.chunk_size):
            logits = kept
            if logits is None:
                logits = product(hidden[chunk], weight, bias)
            # What was kept may be asked for again.
            grad = logits if kept is None else torch.empty_like(logits)
            for block in _blocks(logits):
                at = slice(chunk.start + block.start, chunk.start + block.stop)
                logprobs = _scores(logits[block], ctx.temperature) - norms[at, None]
                grad[block] = _grad_of_scores(
                    logprobs,
                    targets[at, None],
                    None if grad_chosen is None else grad_chosen[at, None],
                    None if grad_entropy is None else grad_entropy[at, None],
                    None if entropy is None else entropy[at, None],
                ).div_(ctx.temperature)
            if grad_hidden is not None:
                grad_hidden[chunk] = product(grad, weight.T)
            if needs_weight:
                grad_weight = _plus(grad_weight, grad.T @ hidden[chunk])
            if needs_bias:
                grad_bias = _plus(grad_bias, grad.sum(dim=0))
        return (
            grad_hidden,
            None if grad_weight is None else grad_weight.to(weight.dtype),
            None if grad_bias is None else grad_bias.to(bias.dtype),
            *(None, None, None, None),
        )


def _rows_of(head: nn.Module, n: int) -> tuple[Tensor, Tensor | None]:
    """Returns the first rows of an output layer's weight and bias."""
    weight: Any = head.weight
    bias: Any = getattr(head, "bias", None)
    if n == len(weight):
        # A slice of all of it would copy its gradient.
        return weight, bias
    return weight[:n], None if bias is None else bias[:n]


def _scores(logits: Tensor, temperature: float) -> Tensor:
    scores = logits.float()
    return scores if temperature == 1.0 else scores / temperature


def _grad_of_scores(
    logprobs: Tensor,
    ids: Tensor,
    grad_chosen: Tensor | None,
    grad_entropy: Tensor | None,
    entropy: Tensor | None,
) -> Tensor:
    """Returns the gradient (n, vocabulary) at the logits divided by the temperature."""
    probs = logprobs.exp()
    grad = torch.zeros_like(probs)
    if grad_chosen is not None:
        grad = probs * -grad_chosen
        grad.scatter_add_(1, ids, grad_chosen)
    if grad_entropy is not None:
        assert entropy is not None
        surprise = logprobs.clamp(min=_LOWEST)
        surprise += entropy
        grad -= probs * surprise * grad_entropy
    return grad


def _plus(total: Tensor | None, part: Tensor) -> Tensor:
    """Returns the sum; sums over many chunks keep their digits in float32."""
    return part if total is None else total.float().add_(part)


def _blocks(logits: Tensor) -> list[slice]:
    n, n_words = logits.shape
    on_cpu = logits.device.type == "cpu"
    return _chunks(n, max(1, _BLOCK_LOGITS // n_words) if on_cpu else n)


def _chunks(n: int, chunk_size: int) -> list[slice]:
    starts = range(0, max(n, 1), chunk_size)
    return [slice(start, min(start + chunk_size, n)) for start in starts]
