"""Draws tokens from logits."""

from __future__ import annotations

import torch
from torch import Tensor

from textenv.errors import ModelError

_BLOCK = 128


def choose_tokens(logits: Tensor, deterministic: bool = False) -> tuple[Tensor, Tensor]:
    """Draws a token of each row from softmax(logits), or takes the most likely one.

    Two uniform numbers a row, by inversion: the first finds a block of 128 tokens, the second a
    token of the block. `torch.multinomial` draws a number for each token of the vocabulary, which
    on a CPU takes longer than a step of a small model. Sums are in float64 where they run over a
    whole row, so that a token's frequency is its probability however unlikely it is.

    Args:
        logits: (rows, vocab) float32.
        deterministic: Take the most likely token.

    Returns:
        Tokens (rows,) int64, -1 where logits are not numbers, and their log-probabilities (rows,).
    """
    n_rows, vocab_size = logits.shape
    n_blocks = -(-vocab_size // _BLOCK)
    top = logits.amax(1, keepdim=True)
    weights = logits.new_zeros(n_rows, n_blocks * _BLOCK)
    torch.exp(logits - top, out=weights[:, :vocab_size])
    blocks = weights.view(n_rows, n_blocks, _BLOCK)
    sums = blocks.sum(2).double().cumsum(1)  # (rows, blocks)
    total = sums[:, -1:]
    if deterministic:
        tokens = logits.argmax(1)
    else:
        uniform = torch.rand(n_rows, 2, dtype=torch.float64, device=logits.device)
        block = torch.searchsorted(sums, uniform[:, :1] * total, right=True)
        # Rounding can only reach the end of a sum where the number drawn is the last below 1.
        block.clamp_(max=n_blocks - 1)
        inside = blocks.gather(1, block[:, :, None].expand(-1, -1, _BLOCK))[:, 0]
        inside = inside.double().cumsum(1)  # (rows, block)
        token = torch.searchsorted(inside, uniform[:, 1:] * inside[:, -1:], right=True)
        tokens = (block * _BLOCK + token)[:, 0].clamp_(max=vocab_size - 1)
    logprobs = logits.gather(1, tokens[:, None]) - top - total.log().float()
    return torch.where(total[:, 0].isfinite(), tokens, -1), logprobs[:, 0]


def check_tokens(tokens: Tensor) -> None:
    """Checks tokens of `choose_tokens` that have reached the CPU."""
    if bool((tokens < 0).any()):
        raise ModelError(
            "The language model's outputs are no longer numbers. If it was being trained, lower "
            "learning_rate or max_grad_norm and go on from a checkpoint before; if it was just "
            "loaded, its file is damaged."
        )
