"""Final hidden states of growing token sequences, cached slot by slot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers.cache_utils import Cache, CacheLayerMixin

from agents.models import check_window

Ints = NDArray[np.integer[Any]]

_MIN_CAPACITY = 64


class _Writing(NamedTuple):
    """Where the keys and values of one forward pass go, shared by all layers."""

    rows: Tensor | None  # (rows,) slots in play; None: all of them, in order
    targets: tuple[Tensor, Tensor] | None  # slots (rows, 1), positions (rows, new); None: a block
    block: slice  # the positions of that block, where every row writes at the same ones
    n_keys: int  # positions that the longest row in play reaches
    dtype: torch.dtype  # the type that attention computes in


class _SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call] # has no types
    """Keys and values of one layer: (slots, heads, capacity + 1, head_dim).

    The last position belongs to nobody: padding is written there and never read.
    """

    is_sliding = False
    keys: Tensor
    values: Tensor

    def __init__(self, n_slots: int, window: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # has no types
        self.n_slots = n_slots
        self.window = window
        self.capacity = 0
        self.writing: _Writing

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Makes storage without a position of use, shaped like the first keys and values."""
        dtype = self.writing.dtype
        self.keys, self.values = (
            states.new_zeros(self.n_slots, states.shape[1], 1, states.shape[3], dtype=dtype)
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def reserve(self, n_keys: int) -> None:
        """Grows the storage to at least `n_keys` positions, twofold so that growth stays rare."""
        if n_keys <= self.capacity:
            return
        capacity = max(n_keys, min(self.window, max(_MIN_CAPACITY, 2 * self.capacity)))
        grown = []
        for old in (self.keys, self.values):
            # Zeros, not empty memory: a masked NaN would still poison the attention.
            new = old.new_zeros(self.n_slots, old.shape[1], capacity + 1, old.shape[3])
            new[:, :, : self.capacity] = old[:, :, : self.capacity]
            grown.append(new)
        self.keys, self.values = grown
        self.capacity = capacity

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Writes each row's new states at its own positions; returns those of the rows in play."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        writing = self.writing
        self.reserve(writing.n_keys)
        read = []
        for cached, states in ((self.keys, key_states), (self.values, value_states)):
            if writing.targets is None:
                cached[:, :, writing.block] = states
            else:
                slots, positions = writing.targets
                cached[slots, :, positions] = states.transpose(1, 2).to(cached.dtype)
            view = cached[:, :, : writing.n_keys]
            read.append(view if writing.rows is None else view.index_select(0, writing.rows))
        return read[0], read[1]

    def get_seq_length(self) -> int:
        """Returns the positions in play; only asked for by code that is given no positions."""
        return self.writing.n_keys

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Returns the number of keys of the pass in play, which start at position 0."""
        return self.writing.n_keys, 0

    def get_max_length(self) -> int:
        """Returns the most positions that a slot can hold."""
        return self.window


class _StepCounter:
    """Counts the steps of all optimizers: fused ones write weights without autograd seeing it."""

    def __init__(self) -> None:
        self.count = 0
        self._is_started = False

    def start(self) -> None:
        """Hooks the counter in, once."""
        if not self._is_started:
            register_optimizer_step_post_hook(self._add_one)
            self._is_started = True

    def _add_one(self, *_: Any) -> None:
        self.count += 1


_OPTIMIZER_STEPS = _StepCounter()


class SlotDecoder:
    """Final hidden states of growing token sequences, one slot each, computing only what is new.

    A slot's keys and values are valid for the token prefix that they were computed from, under the
    weights that computed them. So a slot may grow by any number of tokens, go back, or start again
    while others go on. A step of any optimizer and every write that autograd counts, such as
    `load_state_dict`, drop the cache; after writing through `.data`, or switching an adapter, call
    `drop`.

    Args:
        backbone: the decoder without its output layer, as `agents.models.backbone_and_head` gives.
        n_slots: the number of sequences kept.
        window: the most tokens of one sequence.

    Attributes:
        fed_tokens: tokens that have gone through the backbone so far, without padding.

    Raises:
        ModelError: the architecture cannot be cached for this window.
    """

    def __init__(self, backbone: nn.Module, n_slots: int, window: int) -> None:
        check_window(backbone, window)
        self.backbone = backbone
        self.n_slots = n_slots
        self.window = window
        self.fed_tokens = 0
        self._ids = np.zeros((n_slots, window), dtype=np.int32)
        self._lengths = np.zeros(n_slots, dtype=np.int64)
        self._all_rows = np.arange(n_slots)
        self._columns = np.arange(window)
        self._version: tuple[torch.dtype, int, list[tuple[int, int]]] | None = None
        _OPTIMIZER_STEPS.start()
        self.drop()

    def drop(self) -> None:
        """Forgets everything cached, and frees its memory."""
        self._lengths[:] = 0
        config: Any = self.backbone.config
        n_layers = config.get_text_config().num_hidden_layers
        self._layers = [_SlotLayer(self.n_slots, self.window) for _ in range(n_layers)]
        self._cache = Cache(layers=list(self._layers))
        # Parameters are looked up anew at each version: an assignment replaces the objects.
        self._owners = [m._parameters for m in self.backbone.modules() if m._parameters]

    def feed(self, rows: Ints | Tensor, input_ids: Ints | Tensor, lengths: Ints | Tensor) -> Tensor:
        """Returns the final hidden state of each row's last token.

        Args:
            rows: (k,) the slots in play, each at most once.
            input_ids: (k, L) the whole token sequences so far, right-padded.
            lengths: (k,) their true lengths, from 1 to `window`.

        Returns:
            (k, hidden), on the backbone's device, without gradient.
        """
        rows, ids, lengths = _to_numpy(rows), _to_numpy(input_ids), _to_numpy(lengths)
        if lengths.min() < 1 or lengths.max() > self.window:
            raise ValueError(
                f"lengths must lie between 1 and the window of {self.window} tokens, "
                f"not {lengths.min()} to {lengths.max()}."
            )
        device = next(self.backbone.parameters()).device
        # Keys in another type, after autocast was switched, are as stale as those of old weights.
        dtype = _compute_dtype(self.backbone, device)
        version = (dtype, _OPTIMIZER_STEPS.count, weights_version(self._owners))
        if version != self._version:
            self.drop()
            # Read again: dropping looks the parameters up anew.
            self._version = (dtype, _OPTIMIZER_STEPS.count, weights_version(self._owners))
        ids = ids[:, : lengths.max()].astype(np.int32, copy=False)
        starts = self._common_prefix(rows, ids, lengths)
        # Until the pass is over only the common prefix is valid, should it be interrupted.
        self._lengths[rows] = starts
        hidden = self._forward_groups(rows, ids, starts, lengths)
        self._ids[rows, : ids.shape[1]] = ids
        self._lengths[rows] = lengths
        self.fed_tokens += int((lengths - starts).sum())
        return hidden

    def _common_prefix(self, rows: Ints, ids: Ints, lengths: Ints) -> Ints:
        """Returns (k,) how many leading tokens are cached already, leaving at least one to feed."""
        width = ids.shape[1]
        cached = self._ids[:, :width] if self._is_all(rows) else self._ids[rows, :width]
        limit = np.minimum(self._lengths[rows], lengths - 1)
        differs = (ids != cached) & (self._columns[:width] < limit[:, None])
        return np.where(differs.any(axis=1), differs.argmax(axis=1), limit)

    def _forward_groups(self, rows: Ints, ids: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """Feeds rows with one new token apart from rows with several, which need padding."""
        single = lengths - starts == 1
        # Normal tensors even inside a caller's inference mode: they outlive it in the cache.
        with torch.inference_mode(False), torch.no_grad(), _evaluating(self.backbone):
            if single.all() or not single.any():
                return self._forward(rows, ids, starts, lengths)
            parts = [
                (group, self._forward(rows[group], ids[group], starts[group], lengths[group]))
                for group in (np.flatnonzero(single), np.flatnonzero(~single))
            ]
            order = np.argsort(np.concatenate([group for group, _ in parts]))
            hidden = torch.cat([part for _, part in parts])
            return hidden[torch.from_numpy(order).to(hidden.device)]

    def _forward(self, rows: Ints, ids: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """Runs the backbone over ids[starts:lengths] of each row; returns the last states."""
        device = next(self.backbone.parameters()).device
        dtype = _compute_dtype(self.backbone, device)
        n_new, n_keys = int((lengths - starts).max()), int(lengths.max())
        wanted = starts[:, None] + np.arange(n_new)  # (k, new)
        is_real = wanted < lengths[:, None]
        # Padding repeats the row's last token at the row's last position: always a legal input.
        positions = np.minimum(wanted, lengths[:, None] - 1)
        new_ids = np.take_along_axis(ids, positions, axis=1)
        position_ids = torch.from_numpy(positions).to(device)

        is_all = self._is_all(rows)
        slots = torch.from_numpy(rows).to(device)
        targets = None
        if not (is_all and is_real.all() and (starts == starts[0]).all()):
            # Column -1 is the storage's last position, which nobody reads.
            columns = torch.from_numpy(np.where(is_real, positions, -1)).to(device)
            targets = (slots[:, None], columns)
        writing = _Writing(
            rows=None if is_all else slots,
            targets=targets,
            block=slice(int(starts[0]), n_keys),
            n_keys=n_keys,
            dtype=dtype,
        )
        for layer in self._layers:
            layer.writing = writing

        hidden: Tensor = self.backbone(
            input_ids=torch.from_numpy(new_ids).to(device, torch.long),
            attention_mask=_causal_mask(position_ids, n_keys, dtype),
            position_ids=position_ids,
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        if n_new == 1:
            return hidden[:, 0]
        last = torch.from_numpy(lengths - starts - 1).to(device)
        return hidden[torch.arange(len(rows), device=device), last]

    def _is_all(self, rows: Ints) -> bool:
        return len(rows) == self.n_slots and bool((rows == self._all_rows).all())


def weights_version(owners: list[dict[str, nn.Parameter | None]]) -> list[tuple[int, int]]:
    """Returns where each parameter's memory lies and how often it was written to in place.

    Args:
        owners: the `_parameters` of every module that has some.
    """
    return [(p.data_ptr(), p._version) for own in owners for p in own.values() if p is not None]


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Holds a module in eval mode: gradient checkpointing in train mode bypasses the cache."""
    if not module.training:
        yield
        return
    module.eval()
    try:
        yield
    finally:
        module.train()


def _causal_mask(position_ids: Tensor, n_keys: int, dtype: torch.dtype) -> Tensor:
    """Returns (rows, 1, new, keys): 0 where a key may be seen, the lowest number elsewhere.

    Additive, because eager attention adds whatever mask it is given.
    """
    is_later = torch.arange(n_keys, device=position_ids.device) > position_ids[:, None, :, None]
    mask = torch.zeros(is_later.shape, dtype=dtype, device=position_ids.device)
    return mask.masked_fill_(is_later, torch.finfo(dtype).min)


def _compute_dtype(backbone: nn.Module, device: torch.device) -> torch.dtype:
    """Returns the type that attention computes in: autocast's where it is on."""
    if torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return next(backbone.parameters()).dtype


def _to_numpy(values: Ints | Tensor) -> Ints:
    return values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
