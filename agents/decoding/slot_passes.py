"""Passes of a backbone over tokens of slots: whole prompts, one token each, and both at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers.cache_utils import Cache

from agents.decoding.cuda_graphs import StaticSteps
from agents.decoding.slot_cache import (
    Access,
    SlotLayer,
    aligned_token,
    causal_mask,
    first_tokens,
    further_tokens,
    next_token,
    packed_tokens,
)
from agents.models.attention import NAME as ATTENTION_NAME
from agents.models.attention import PackedPass, Run

Ints = NDArray[np.integer[Any]]


class SlotPasses:
    """Runs a backbone over tokens, and keeps their keys and values in rows of storage.

    Args:
        backbone: What computes: the decoder without its output layer, in eval mode.
        n_slots: Rows of the storage.
        window: The most tokens of a row.
        dtype: Type of the storage, in which attention computes.
        captured: A pass of one token a row is a captured graph, if the backbone allows it.

    Attributes:
        layers: The storage.
        steps: The captured steps, or None.
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_slots: int,
        window: int,
        dtype: torch.dtype,
        captured: bool,
    ) -> None:
        config: Any = backbone.config
        n_layers = config.get_text_config().num_hidden_layers
        self._backbone = backbone
        self._device = next(backbone.parameters()).device
        self._dtype = dtype
        self.layers = [SlotLayer(n_slots, window, dtype) for _ in range(n_layers)]
        self._cache = Cache(layers=list(self.layers))
        self.steps: StaticSteps | None = None
        if captured:
            self.use_static_steps(captured=True)
        self._can_pack = _attends_by_ours(backbone)

    def use_static_steps(self, captured: bool) -> None:
        """Has passes of one token a row go over fixed buffers, captured in graphs or not."""
        self.steps = StaticSteps(self._backbone, self._cache, self.layers, captured=captured)

    @property
    def is_used(self) -> bool:
        """Whether anything has been stored yet."""
        return self.layers[0].is_initialized

    @property
    def can_pack(self) -> bool:
        """Whether `packed` can be used: a graph has one shape, so it takes no prompts along."""
        return self._can_pack and self.steps is None and self.is_used

    def copy(self, sources: Ints, targets: Ints, n_keys: int) -> None:
        """Copies the first keys and values of rows of the storage to other rows."""
        read, written = (torch.from_numpy(places).to(self._device) for places in (sources, targets))
        for layer in self.layers:
            layer.copy_rows(read, written, n_keys)

    def several(self, places: Ints, ids: Ints, starts: Ints, stops: Ints) -> Tensor:
        """Feeds ids[starts:stops] of each row, padded.

        Args:
            places: (k,) rows of the storage.
            ids: (k, L) tokens.
            starts: (k,) the first position to feed: all of them 0, or none.
            stops: (k,) the position after the last.

        Returns:
            (k, longest, hidden), from `starts` on.
        """
        n_new, n_keys = int((stops - starts).max()), int(stops.max())
        wanted = starts[:, None] + np.arange(n_new)  # (k, new)
        # Padding repeats the row's last token at the row's last position: always a legal input.
        positions = np.minimum(wanted, stops[:, None] - 1)
        new_ids = torch.from_numpy(np.take_along_axis(ids, positions, axis=1))
        position_ids = torch.from_numpy(positions).to(self._device)
        rows = torch.from_numpy(places).to(self._device)
        if not starts.any():
            # Padding stands right of all that counts: the causal mask alone hides it.
            mask = torch.ones(len(places), n_new, dtype=torch.long, device=self._device)
            return self._forward(new_ids, position_ids, mask, first_tokens(rows, n_new))
        columns = torch.from_numpy(np.where(wanted < stops[:, None], positions, -1))
        access = further_tokens(rows, columns.to(self._device), n_keys)
        return self._forward(
            new_ids, position_ids, causal_mask(position_ids, n_keys, self._dtype), access
        )

    def newest(self, tokens: Ints, positions: Ints) -> Tensor:
        """Feeds a token (k,) in each of the rows 0, 1, ... of the storage; returns (k, hidden)."""
        if self.steps is not None and self.is_used:
            return self.steps.run(tokens, positions)
        n_rows, n_keys = len(tokens), int(positions.max()) + 1
        position_ids = torch.from_numpy(positions).to(self._device)[:, None]
        if (positions == positions[0]).all():
            access = aligned_token(n_rows, n_keys - 1)
            mask = torch.ones(n_rows, n_keys, dtype=torch.long, device=self._device)
        else:
            rows = torch.arange(n_rows, device=self._device)
            access = next_token(rows, position_ids[:, 0], n_keys)
            mask = causal_mask(position_ids, n_keys, self._dtype)
        return self._forward(torch.from_numpy(tokens)[:, None], position_ids, mask, access)[:, 0]

    def packed(
        self, tokens: Ints, positions: Ints, before: Sequence[tuple[int, int, Ints]]
    ) -> Tensor:
        """Feeds one token in each of the first rows, and before it what some rows lack.

        Args:
            tokens: (k,) of the rows 0, 1, ...
            positions: (k,) where they stand.
            before: A row, the first position it lacks, and the tokens from there on up to the one
                in `tokens`.

        Returns:
            (k, hidden) states of `tokens`.
        """
        n_rows, n_keys = len(tokens), int(positions.max()) + 1
        places, columns, runs = [np.arange(n_rows)], [positions], []
        for place, start, ids in before:
            stop = start + len(ids)
            places.append(np.full(len(ids), place))
            columns.append(np.arange(start, stop))
            runs.append(Run(place, start, stop, self._run_mask(start, stop)))
        new_ids = np.concatenate([tokens, *(ids for *_, ids in before)])
        rows, position_ids = (
            torch.from_numpy(np.concatenate(parts)).to(self._device) for parts in (places, columns)
        )
        mask = causal_mask(position_ids[:n_rows, None], n_keys, self._dtype)
        return self._forward(
            torch.from_numpy(new_ids)[None],
            position_ids[None],
            mask,
            packed_tokens(rows, position_ids, n_keys),
            packed=PackedPass(n_rows, mask, tuple(runs)),
        )[0, :n_rows]

    def _run_mask(self, start: int, stop: int) -> Tensor | None:
        positions = torch.arange(start, stop, device=self._device)[None]
        return causal_mask(positions, stop, self._dtype) if start else None

    def _forward(
        self,
        new_ids: Tensor,
        position_ids: Tensor,
        mask: Tensor,
        access: Access,
        **read: PackedPass,
    ) -> Tensor:
        for layer in self.layers:
            layer.access = access
        hidden: Tensor = self._backbone(
            input_ids=new_ids.to(self._device, torch.long),
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=self._cache,
            use_cache=True,
            **read,
        ).last_hidden_state
        return hidden


def _attends_by_ours(backbone: nn.Module) -> bool:
    """Tells whether a model computes attention by `agents.models.attention`, and only there.

    Models of transformers that say so hand it whatever their `forward` is given.
    """
    config: Any = getattr(backbone, "config", None)
    is_ours = getattr(config, "_attn_implementation", None) == ATTENTION_NAME
    return is_ours and bool(getattr(backbone, "_supports_attention_backend", False))
