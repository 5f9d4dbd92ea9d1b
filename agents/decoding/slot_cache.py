"""Keys and values of growing sequences: how a pass writes and reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

# Storage grows by so many positions at least: a growth copies all of it.
GRANULE = 128


@dataclass(frozen=True)
class Access:
    """What one pass writes to and reads from the storage; the same for all layers."""

    n_new: int  # New tokens a row, padding included
    n_keys: int  # Positions that the attention of the pass reads
    # Given a layer's storage of keys or values (slots, heads, capacity + 1, head_dim) and the new
    # states (rows, heads, n_new, head_dim), writes these and returns what attention reads, (rows,
    # heads, n_keys, head_dim)
    exchange: Callable[[Tensor, Tensor], Tensor]


def first_tokens(places: Tensor, n_new: int) -> Access:
    """Rows of the storage that begin, (rows,): nothing cached is read.

    Padding is written behind what counts, where nobody reads until tokens have been written there.
    """

    def exchange(cached: Tensor, states: Tensor) -> Tensor:
        cached[places, :, :n_new] = states.to(cached.dtype)
        return states

    return Access(n_new, n_new, exchange)


def further_tokens(places: Tensor, columns: Tensor, n_keys: int) -> Access:
    """Rows of the storage, (rows,), that go on with several tokens at positions of their own.

    Positions are (rows, n_new), -1 for padding, which goes where nobody reads.
    """

    def exchange(cached: Tensor, states: Tensor) -> Tensor:
        cached[places[:, None], :, columns] = states.transpose(1, 2).to(cached.dtype)
        return cached[:, :, :n_keys].index_select(0, places)

    return Access(columns.shape[1], n_keys, exchange)


def next_token(places: Tensor, columns: Tensor, n_keys: int) -> Access:
    """One token in each of the rows 0, 1, ... of the storage, (rows,), at positions (rows,)."""
    writes = FlatWrites(places[:, None], columns[:, None])

    def exchange(cached: Tensor, states: Tensor) -> Tensor:
        writes.write(cached, states)
        return cached[: len(places), :, :n_keys]

    return Access(1, n_keys, exchange)


class FlatWrites:
    """Where a pass writes, as one index into the storage laid flat: half the time of three.

    Args:
        places: (batch, time) each token's row of the storage.
        columns: (batch, time) its position.
    """

    def __init__(self, places: Tensor, columns: Tensor) -> None:
        self._places = places[:, None]
        self._columns = columns[:, None]
        self._targets: dict[tuple[int, int], Tensor] = {}

    def write(self, cached: Tensor, states: Tensor) -> None:
        """Writes states (batch, heads, time, head_dim) into (slots, heads, positions, head_dim)."""
        n_heads, n_columns, head_dim = cached.shape[1:]
        key = n_heads, n_columns
        if key not in self._targets:
            heads = torch.arange(n_heads, device=self._columns.device)[:, None]
            first = (self._places * n_heads + heads) * n_columns
            self._targets[key] = (first + self._columns).reshape(-1)
        written = states.reshape(-1, head_dim).to(cached.dtype)
        cached.view(-1, head_dim).index_copy_(0, self._targets[key], written)


def packed_tokens(places: Tensor, columns: Tensor, n_keys: int) -> Access:
    """Tokens of several slots in one batch row, with each one's row and position, (tokens,) each.

    What is read is the storage itself.
    """
    writes = FlatWrites(places[None], columns[None])

    def exchange(cached: Tensor, states: Tensor) -> Tensor:
        writes.write(cached, states)
        return cached

    return Access(len(places), n_keys, exchange)


def aligned_token(n_rows: int, position: int) -> Access:
    """One token in each of the first rows of the storage, all at the same position."""

    def exchange(cached: Tensor, states: Tensor) -> Tensor:
        cached[:n_rows, :, position] = states[:, :, 0]
        return cached[:n_rows, :, : position + 1]

    return Access(1, position + 1, exchange)


class SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call] # has no types
    """Keys and values of one layer: (slots, heads, capacity + 1, head_dim).

    The last position belongs to nobody: padding is written there and never read.
    """

    is_sliding = False
    keys: Tensor
    values: Tensor

    def __init__(self, n_slots: int, window: int, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # has no types
        self.n_slots = n_slots
        self.window = window
        self.capacity = 0
        self.dtype = dtype
        self.access: Access

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Makes storage without a position of use, shaped like the first keys and values."""
        self.keys, self.values = (
            states.new_zeros(self.n_slots, states.shape[1], 1, states.shape[3], dtype=self.dtype)
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def reserve(self, n_keys: int) -> None:
        """Grows the storage to at least `n_keys` positions."""
        if n_keys <= self.capacity:
            return
        # By a quarter at least, so that growth stays rare however long texts become.
        wanted = max(n_keys, self.capacity + self.capacity // 4)
        capacity = max(n_keys, min(self.window, -(-wanted // GRANULE) * GRANULE))
        for name in ("keys", "values"):
            old = getattr(self, name)
            # Zeros, not empty memory: a masked NaN would still poison the attention.
            new = old.new_zeros(self.n_slots, old.shape[1], capacity + 1, old.shape[3])
            new[:, :, : self.capacity] = old[:, :, : self.capacity]
            setattr(self, name, new)
        self.capacity = capacity

    def copy_rows(self, sources: Tensor, targets: Tensor, n_keys: int) -> None:
        """Gives rows the first keys and values of other rows; what is read is read before."""
        for cached in (self.keys, self.values):
            cached[targets, :, :n_keys] = cached[sources, :, :n_keys]

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes each row's new states; returns the keys and values that its attention reads."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        access = self.access
        self.reserve(access.n_keys)
        return access.exchange(self.keys, key_states), access.exchange(self.values, value_states)

    def get_seq_length(self) -> int:
        """Returns how many positions lie before the pass in play."""
        return self.access.n_keys - self.access.n_new

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Returns the number of keys of the pass in play, which start at position 0."""
        return self.access.n_keys, 0

    def get_max_length(self) -> int:
        """Returns the most positions that a slot can hold."""
        return self.window


def causal_mask(position_ids: Tensor, n_keys: int, dtype: torch.dtype) -> Tensor:
    """Returns (rows, 1, new, keys): 0 where a key may be seen from positions (rows, new).

    Elsewhere it is the lowest number, because eager attention adds whatever mask it is given.
    """
    keys = torch.arange(n_keys, device=position_ids.device)
    is_later = keys > position_ids[:, None, :, None]
    mask = torch.zeros(is_later.shape, dtype=dtype, device=position_ids.device)
    return mask.masked_fill_(is_later, torch.finfo(dtype).min)
