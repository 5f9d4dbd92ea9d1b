"""One pass for slots that go on and slots that begin: a token of each, and whole prompts beside."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from agents.decoding.slot_cache import Access, FlatWrites


def can_pack(backbone: nn.Module, attention_name: str) -> bool:
    """Tells whether a model computes attention by the function of that name, and only there.

    Models of transformers that say so hand it whatever their `forward` is given.
    """
    config: Any = getattr(backbone, "config", None)
    is_its = getattr(config, "_attn_implementation", None) == attention_name
    return is_its and bool(getattr(backbone, "_supports_attention_backend", False))


def packed_tokens(places: Tensor, columns: Tensor, n_keys: int) -> Access:
    """Tokens of several slots in one batch row; what is read is the storage itself.

    Args:
        places: (tokens,) each one's row of the storage.
        columns: (tokens,) positions.
        n_keys: Positions of the longest.
    """
    writes = FlatWrites(places[None], columns[None])

    def exchange(cached: Tensor, states: Tensor) -> Tensor:
        writes.write(cached, states)
        return cached

    return Access(len(places), n_keys, exchange)
