"""Torch's attention, but for what it is slow at on a CPU: bfloat16, and one token a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

# The name under which transformers finds it; a saved model does not carry it.
NAME = "textenv_sdpa"

# Attention of queries over keys and values, (batch, heads, time, head_dim) each, under a mask:
# (batch, time, heads, head_dim).
Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Run:
    """Consecutive new tokens of one slot within a packed pass."""

    place: int  # The slot's row of the storage
    start: int  # Position of the first
    stop: int  # The position after the last
    # (1, 1, stop - start, stop) what each may see; None where all before it is new, so that being
    # causal says it
    mask: Tensor | None

    @property
    def n_new(self) -> int:
        """Tokens in the run."""
        return self.stop - self.start


@dataclass(frozen=True)
class PackedPass:
    """How attention reads a pass that is packed: one batch row, (1, tokens).

    The first tokens are the newest of each of the first rows of the storage; the runs follow. Keys
    and values are in the storage before attention reads them, so that the newest token of a slot
    sees the run of the same slot.
    """

    n_newest: int  # How many rows have a newest token
    mask: Tensor  # (n_newest, 1, 1, keys) what those may see
    runs: tuple[Run, ...]  # What follows them

    def attend(self, attend: Attend, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attends within each slot.

        Args:
            attend: Attention of a batch of rows.
            query: (1, heads, tokens, head_dim).
            key: (slots, key heads, capacity + 1, head_dim), the storage.
            value: the same.

        Returns:
            (1, tokens, heads, head_dim).
        """
        n, n_keys = self.n_newest, self.mask.shape[-1]
        newest = query[0, :, :n].transpose(0, 1).unsqueeze(2)
        read = [cached[:n, :, :n_keys] for cached in (key, value)]
        parts = [attend(newest, read[0], read[1], self.mask).transpose(0, 1)]
        for run in self.runs:
            read = [c[run.place : run.place + 1, :, : run.stop] for c in (key, value)]
            parts.append(attend(query[:, :, n : n + run.n_new], read[0], read[1], run.mask))
            n += run.n_new
        return torch.cat(parts, dim=1)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packed: PackedPass | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Computes scaled dot-product attention of (batch, heads, time, head_dim) tensors.

    On a CPU whole sequences are attended to in float32, with and without gradient alike, so that
    the probability ratio of an unchanged policy stays 1.

    Args:
        module: the attention layer.
        query: of the new positions.
        key: of all positions.
        value: of all positions.
        attention_mask: as transformers makes it; None for whole sequences, which are causal.
        packed: how to read a packed pass, in which the mask does not count and keys and values are
            the whole storage of `agents.decoding.slot_cache`.
        kwargs: further ones of `sdpa_attention_forward`.
    """
    if packed is not None:

        def attend_rows(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
            return attend(module, query, key, value, mask, **kwargs)[0]

        return packed.attend(attend_rows, query, key, value), None
    on_cpu = value.device.type == "cpu"
    if on_cpu and query.shape[2] == 1 and query.shape[1] % key.shape[1] == 0:
        return attend_one(query, key, value, attention_mask, kwargs.get("scaling")), None
    # The backward pass of torch's bfloat16 kernel takes 3.8 times as long as the float32 one on two
    # CPU cores at 96 tokens with heads of 32 (1.5 times at 320 tokens, as long with heads of 64).
    # Under autocast, rotary positions leave queries and keys in float32; values tell its type.
    dtype, is_whole = value.dtype, query.shape[2] == key.shape[2] > 1
    if not on_cpu or dtype != torch.bfloat16 or not is_whole:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    with torch.autocast("cpu", enabled=False):
        query, key, value = query.float(), key.float(), value.float()
        mask = attention_mask
        if mask is not None and mask.is_floating_point():
            mask = mask.float()
        attended, _ = sdpa_attention_forward(module, query, key, value, mask, **kwargs)
    return attended.to(dtype), None


def attend_one(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None = None
) -> Tensor:
    """Attends from one position a row, as two products a head in float32.

    Heads that share their keys share a product. On two CPU cores, with 16 rows, 9 heads over 3 and
    96 keys, it takes a fifth of the time of torch's attention, for which keys and values are
    repeated.

    Args:
        query: (batch, heads, 1, head_dim).
        key: (batch, key heads, keys, head_dim).
        value: (batch, key heads, keys, value_dim).
        mask: (batch or 1, heads or 1, 1, keys), added to the scores or, of booleans, True where a
            key is seen; None to see all.
        scaling: Factor of the scores; by default 1 / sqrt(head_dim).

    Returns:
        (batch, 1, heads, value_dim), in the type of the values.
    """
    n_heads, head_dim = query.shape[1], query.shape[3]
    grouped = (key.shape[1], n_heads // key.shape[1])
    with torch.autocast("cpu", enabled=False):
        queries = query.float().reshape(-1, *grouped, head_dim)
        scores = queries @ key.float().transpose(2, 3)
        scores = scores * (head_dim**-0.5 if scaling is None else scaling)
        if mask is not None:
            if mask.shape[1] == n_heads:
                mask = mask.reshape(-1, *grouped, mask.shape[3])
            is_bool = mask.dtype == torch.bool
            scores = scores.masked_fill(~mask, -torch.inf) if is_bool else scores + mask
        attended = scores.softmax(dim=-1) @ value.float()
    return attended.reshape(-1, 1, n_heads, value.shape[3]).to(value.dtype)


def use_own_attention(model: PreTrainedModel) -> None:
    """Has a model that was loaded with torch's attention use `attend`.

    Only where the model looks its attention up by name. Others compare the name, such as Falcon, or
    have an attention of their own.
    """
    config: Any = model.config
    if config._attn_implementation == "sdpa" and model._supports_attention_backend:
        config._attn_implementation = NAME


@contextmanager
def plain_attention(model: PreTrainedModel) -> Iterator[None]:
    """Has a model use torch's own attention for so long."""
    config: Any = model.config
    is_ours = config._attn_implementation == NAME
    if is_ours:
        config._attn_implementation = "sdpa"
    try:
        yield
    finally:
        if is_ours:
            config._attn_implementation = NAME


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
