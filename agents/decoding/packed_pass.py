"""One pass for slots that go on and slots that begin: a token of each, and whole prompts beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from agents.decoding.slot_cache import Access, FlatWrites

# Attention of queries over keys and values, (batch, heads, time, head_dim) each, under a mask:
# (batch, time, heads, head_dim).
Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Run:
    """Consecutive new tokens of one slot within a packed pass.

    Attributes:
        place: The slot's row of the storage.
        start: Position of the first.
        stop: The position after the last.
        mask: (1, 1, stop - start, stop) what each may see; None where all before it is new, so
            that being causal says it.
    """

    place: int
    start: int
    stop: int
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

    Attributes:
        n_newest: How many rows have a newest token.
        mask: (n_newest, 1, 1, keys) what those may see.
        runs: What follows them.
    """

    n_newest: int
    mask: Tensor
    runs: tuple[Run, ...]

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
