"""Torch's attention, computed in float32 where bfloat16 would be slower on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from agents.decoding.packed_pass import PackedPass

# The name under which transformers finds it; a saved model does not carry it.
NAME = "textenv_sdpa"


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

    On a CPU the backward pass of torch's bfloat16 kernel takes several times as long as that of the
    float32 one on short sequences, so whole sequences are attended to in float32 there, with and
    without gradient alike: the probability ratio of an unchanged policy stays 1.

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
    # Under autocast, rotary positions leave queries and keys in float32; values tell its type.
    dtype, is_whole = value.dtype, attention_mask is None and query.shape[2] > 1
    if value.device.type != "cpu" or dtype != torch.bfloat16 or not is_whole:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    with torch.autocast("cpu", enabled=False):
        query, key, value = query.float(), key.float(), value.float()
        attended, _ = sdpa_attention_forward(module, query, key, value, None, **kwargs)
    return attended.to(dtype), None


def use_own_attention(model: PreTrainedModel) -> None:
    """Has a model that was loaded with torch's attention use `attend`."""
    config: Any = model.config
    if config._attn_implementation == "sdpa":
        config._attn_implementation = NAME


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
