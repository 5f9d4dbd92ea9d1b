"""Decoding steps over fixed buffers, each captured once in a CUDA graph and replayed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.cache_utils import Cache

from agents.decoding.slot_cache import GRANULE, SlotLayer, causal_mask, next_token
from agents.models.windows import rotary_forms

Ints = NDArray[np.integer[Any]]

_FEWEST_ROWS = 8
# These forms of rotary positions ask the device for the longest position in each pass.
_READING_ROPES = ("dynamic", "longrope")


def can_capture(backbone: nn.Module) -> bool:
    """Tells whether a step of this model can be a graph: plain weights on a CUDA device."""
    parameters = list(backbone.parameters())
    config: Any = backbone.config
    ropes = rotary_forms(config.get_text_config())
    return all(
        p.is_cuda and type(p) is nn.Parameter and p.is_floating_point() for p in parameters
    ) and not any(rope.get("rope_type") in _READING_ROPES for rope in ropes)


class StaticSteps:
    """Feeds one token in each of the first rows of the storage, in shapes that seldom change.

    A graph replays kernels on the same memory, so each pair of a number of rows, a power of two,
    and a number of keys, a multiple of 128, has a graph of its own, captured when it is first
    needed. Rows that are not in play compute a token at position 0, and write where nobody reads.
    Weights may change in place; when the storage has grown, all graphs are captured anew.

    Args:
        backbone: The decoder that computes.
        cache: Its cache.
        layers: The layers of the cache, already in use.
        captured: False runs the same steps without graphs, on any device.

    Attributes:
        n_captured: Graphs captured so far.
    """

    def __init__(
        self, backbone: nn.Module, cache: Cache, layers: list[SlotLayer], captured: bool
    ) -> None:
        self._backbone = backbone
        self._cache = cache
        self._layers = layers
        self._captured = captured
        self._device = next(backbone.parameters()).device
        n_slots = layers[0].n_slots
        # Token, position and the position to write to, of each row.
        self._inputs = torch.zeros(3, n_slots, dtype=torch.long, device=self._device)
        self._staged = torch.zeros(3, n_slots, dtype=torch.long, pin_memory=captured)
        self._places = torch.arange(n_slots, device=self._device)
        self._graphs: dict[tuple[int, int], Callable[[], Tensor]] = {}
        self._pool: Any = None
        self._capacity = 0
        self.n_captured = 0

    def run(self, tokens: Ints, positions: Ints) -> Tensor:
        """Feeds a token (k,) in each of the rows 0, 1, ... of the storage; returns (k, hidden)."""
        n = len(tokens)
        for layer in self._layers:
            layer.reserve(int(positions.max()) + 1)
        capacity = self._layers[0].capacity
        if capacity != self._capacity:
            # Captured graphs hold the addresses of the storage.
            self._capacity, self._pool = capacity, None
            self._graphs.clear()
        key = self._shape(n, int(positions.max()) + 1)
        if self._captured:
            # The copy of the step before may still be reading the memory that is written here.
            torch.cuda.current_stream().synchronize()
        staged = self._staged.numpy()
        staged[:, :n] = tokens, positions, positions
        staged[0, n:], staged[1, n:], staged[2, n:] = tokens[0], 0, capacity
        self._inputs.copy_(self._staged, non_blocking=True)
        if key not in self._graphs:
            plain = partial(self._step, *key)
            self._graphs[key] = self._capture(*key) if self._captured else plain
        # The graph's own output is overwritten by its next replay.
        return self._graphs[key]()[:n].clone()

    def _shape(self, n: int, n_keys: int) -> tuple[int, int]:
        layer = self._layers[0]
        n_rows = min(layer.n_slots, max(_FEWEST_ROWS, 1 << (n - 1).bit_length()))
        return n_rows, min(layer.capacity, -(-n_keys // GRANULE) * GRANULE)

    def _capture(self, n_rows: int, n_keys: int) -> Callable[[], Tensor]:
        current = torch.cuda.current_stream()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call] # has no types
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            # Libraries set themselves up in their first calls, which a graph cannot hold. The same
            # token is written at the same position each time.
            for _ in range(2):
                self._step(n_rows, n_keys)
        current.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = self._step(n_rows, n_keys)
        # Graphs never run at the same time, so they share the memory of what they compute.
        self._pool = graph.pool()
        self.n_captured += 1

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay

    def _step(self, n_rows: int, n_keys: int) -> Tensor:
        """Computes from the buffers alone; returns (n_rows, hidden)."""
        tokens, positions, columns = self._inputs[:, :n_rows]
        mask = causal_mask(positions[:, None], n_keys, self._layers[0].dtype)
        access = next_token(self._places[:n_rows], columns, n_keys)
        for each in self._layers:
            each.access = access
        kind = self._device.type
        # Casts that autocast keeps would be kept in the memory of a graph.
        with torch.autocast(
            kind,
            torch.get_autocast_dtype(kind),
            enabled=torch.is_autocast_enabled(kind),
            cache_enabled=False,
        ):
            hidden: Tensor = self._backbone(
                input_ids=tokens[:, None],
                attention_mask=mask,
                position_ids=positions[:, None],
                past_key_values=self._cache,
                use_cache=True,
            ).last_hidden_state
        return hidden[:, 0]
