"""Final hidden states of growing token sequences, cached slot by slot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers.cache_utils import Cache

from agents.attention import NAME as ATTENTION_NAME
from agents.compilation import is_compiled, uncompiled
from agents.cuda_graphs import StaticSteps, can_capture
from agents.models import check_window
from agents.packed_pass import PackedPass, Run, can_pack, packed_tokens
from agents.precast import Precast, can_precast
from agents.slot_cache import (
    Access,
    SlotLayer,
    aligned_token,
    first_tokens,
    further_tokens,
    next_token,
)

Ints = NDArray[np.integer[Any]]

# Padding that one pass may carry before rows are split by length: what a pass costs in itself, in
# tokens. On a GPU it is launches that cost, not tokens.
_PADDING_TOKENS = {"cpu": 64}
_PADDING_TOKENS_ELSEWHERE = 4096
# Shorter common beginnings are computed again: a pass from position 0 on needs no mask.
_SHARED_TOKENS = 16
# Beginnings that a packed pass takes: it attends to one after the other, which for many of them
# takes longer than a padded pass of their own.
_PACKED_RUNS = 8


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

    A prefix that another slot has, or that several slots begin with at once, is computed for one of
    them and copied to the others. Prompts of several slots take one padded pass, unless they differ
    much in length; the last token of every slot then goes through one pass of a token a row, which
    on a GPU is a captured graph. Elsewhere a few prompts go along in that pass. Under autocast the weights of linear layers are cast once for all
    passes of the same weights.

    Args:
        backbone: the decoder without its output layer, as `agents.models.backbone_and_head` gives.
        n_slots: the number of sequences kept.
        window: the most tokens of one sequence.
        max_tokens_per_batch: the most tokens, padding included, of one pass; a single sequence may
            have more.
        head: the output layer, for `logits`.

    Attributes:
        fed_tokens: tokens that have gone through the backbone so far, without padding.

    Raises:
        ModelError: the architecture cannot be cached for this window.
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_slots: int,
        window: int,
        *,
        max_tokens_per_batch: int = 8192,
        head: nn.Module | None = None,
    ) -> None:
        check_window(backbone, window)
        self.backbone = backbone
        self.head = head
        self.n_slots = n_slots
        self.window = window
        self.max_tokens_per_batch = max_tokens_per_batch
        self.fed_tokens = 0
        self._ids = np.zeros((n_slots, window), dtype=np.int32)
        self._lengths = np.zeros(n_slots, dtype=np.int64)
        # The row of storage that each slot has: those in play keep to the first rows, so that a
        # step reads them in place.
        self._places = np.arange(n_slots)
        self._is_compiled = is_compiled(backbone)
        self._parts: list[nn.Module] = [backbone, *([] if head is None else [head])]
        _OPTIMIZER_STEPS.start()
        self.drop()

    def drop(self) -> None:
        """Forgets everything cached, and frees its memory."""
        self._lengths[:] = 0
        # Parameters are looked up anew: an assignment replaces the objects.
        self._owners = [m._parameters for p in self._parts for m in p.modules() if m._parameters]
        self._version: tuple[int, list[tuple[int, int]]] | None = None
        self._dtype: torch.dtype | None = None
        self._layers: list[SlotLayer] = []
        self._precast: list[Precast | None] = [None] * len(self._parts)
        self._steps: StaticSteps | None = None
        self._can_pack = can_pack(self.backbone, ATTENTION_NAME)

    def forget(self) -> None:
        """Forgets everything cached, but keeps its memory for what comes."""
        self._lengths[:] = 0

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
        self._renew()
        ids = ids[:, : lengths.max()].astype(np.int32, copy=False)
        starts = self._common_prefix(rows, ids, lengths)
        # Until the pass is over only the common prefix is valid, should it be interrupted.
        self._lengths[rows] = starts
        # Normal tensors even inside a caller's inference mode: they outlive it in the cache.
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            uncompiled() if self._is_compiled else nullcontext(),
            _evaluating(self._running(0)),
        ):
            hidden = self._compute(rows, ids, starts, lengths)
        self._ids[rows, : ids.shape[1]] = ids
        self._lengths[rows] = lengths
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Returns what the output layer makes of hidden states that `feed` has just returned."""
        logits: Tensor = self._running(1)(hidden)
        return logits

    def _renew(self) -> None:
        """Forgets what other weights, or another type of computation, have made."""
        # Keys in another type, after autocast was switched, are as stale as those of old weights.
        dtype = _compute_dtype(self.backbone)
        version = (_OPTIMIZER_STEPS.count, weights_version(self._owners))
        if dtype == self._dtype and version == self._version:
            return
        moved = self._version is None or [at for at, _ in version[1]] != [
            at for at, _ in self._version[1]
        ]
        if dtype != self._dtype or moved:
            self.drop()
            self._start(dtype)
            # Read again: dropping looks the parameters up anew.
            version = (_OPTIMIZER_STEPS.count, weights_version(self._owners))
        self.forget()
        for precast in self._precast:
            if precast is not None:
                precast.refresh()
        self._version = version

    def _start(self, dtype: torch.dtype) -> None:
        config: Any = self.backbone.config
        n_layers = config.get_text_config().num_hidden_layers
        self._dtype = dtype
        self._device = next(self.backbone.parameters()).device
        self._layers = [SlotLayer(self.n_slots, self.window, dtype) for _ in range(n_layers)]
        self._cache = Cache(layers=list(self._layers))
        if torch.is_autocast_enabled(self._device.type):
            self._precast = [Precast(p, dtype) if can_precast(p) else None for p in self._parts]
        if can_capture(self.backbone):
            self._steps = StaticSteps(self._running(0), self._cache, self._layers, captured=True)

    def _running(self, part: int) -> nn.Module:
        """Returns the module that computes: the backbone's twin in autocast's type, or itself."""
        precast = self._precast[part]
        return self._parts[part] if precast is None else precast.twin

    def _common_prefix(self, rows: Ints, ids: Ints, lengths: Ints) -> Ints:
        """Returns (k,) how many leading tokens are cached already, leaving at least one to feed."""
        width = ids.shape[1]
        limit = np.minimum(self._lengths[rows], lengths - 1)
        return _agreement(ids, self._ids[rows, :width], limit)

    def _compute(self, rows: Ints, ids: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """Feeds ids[starts:lengths] of each row; returns the last states, in the order of rows."""
        self._gather(rows)
        before_last = lengths - 1
        if (starts < before_last).any():
            first, followers, leaders = self._share(rows, ids, starts, before_last)
            if not len(followers):
                if len(first) == len(rows):
                    return self._feed_several(rows, ids, starts, lengths, want_last=True)
                if self._fits_packed(starts[first], before_last[first]):
                    return self._feed_packed(rows, ids, before_last, first, starts)
            self._feed_several(rows[first], ids[first], starts[first], before_last[first])
            if len(followers):
                n_keys = int(before_last[followers].max())
                self._copy(rows[leaders], rows[followers], n_keys)
        return self._feed_one(rows, ids, before_last)

    def _share(
        self, rows: Ints, ids: Ints, starts: Ints, stops: Ints
    ) -> tuple[Ints, Ints, Ints]:
        """Copies beginnings that other slots have, and moves `starts` on.

        Returns:
            Which rows still lack tokens before `stops` and have to be computed; then, of rows that
            need just what one of these will have, which they are, and the row of each to copy.
        """
        lacking = np.flatnonzero(starts < stops).tolist()
        leaders: dict[bytes, int] = {}
        leader_of = {i: leaders.setdefault(ids[i, : stops[i]].tobytes(), i) for i in lacking}
        followers = [i for i in lacking if leader_of[i] != i]
        first = np.array(sorted(leaders.values()))
        self._copy_prefixes(rows, ids, starts, stops, first)
        first = first[starts[first] < stops[first]]
        return first, np.array(followers, int), np.array([leader_of[i] for i in followers], int)

    def _copy_prefixes(self, rows: Ints, ids: Ints, starts: Ints, stops: Ints, which: Ints) -> None:
        """Copies beginnings that other slots have already, where that saves most of the work."""
        if not self._lengths.any():
            return
        for i in which:
            limit = np.minimum(self._lengths, stops[i])
            common = _agreement(ids[i : i + 1], self._ids[:, : ids.shape[1]], limit)
            source = int(common.argmax())
            saved = int(common[source] - starts[i])
            if saved >= _SHARED_TOKENS and 2 * saved >= stops[i] - starts[i]:
                self._copy(np.array([source]), rows[i : i + 1], int(common[source]))
                starts[i] = common[source]

    def _copy(self, sources: Ints, targets: Ints, n_keys: int) -> None:
        """Copies the first keys and values of slots to other slots."""
        device = self._device
        read, written = (
            torch.from_numpy(self._places[slots]).to(device) for slots in (sources, targets)
        )
        for layer in self._layers:
            layer.copy_rows(read, written, n_keys)

    def _feed_several(
        self, rows: Ints, ids: Ints, starts: Ints, stops: Ints, want_last: bool = False
    ) -> Tensor:
        """Feeds ids[starts:stops]; returns the states of the last of them, if wanted."""
        states = []
        order = []
        for group in self._split(starts, stops):
            found = self._forward_several(rows[group], ids[group], starts[group], stops[group])
            if want_last:
                at = torch.from_numpy(stops[group] - starts[group] - 1).to(found.device)
                states.append(found[torch.arange(len(group), device=found.device), at])
                order.append(group)
        if len(states) <= 1:
            return states[0] if states else torch.empty(0)
        back = np.argsort(np.concatenate(order))
        return torch.cat(states)[torch.from_numpy(back).to(states[0].device)]

    def _split(self, starts: Ints, stops: Ints) -> list[Ints]:
        """Splits rows into passes, so that padding never outweighs what a pass costs in itself."""
        n_new = stops - starts
        allowed = _PADDING_TOKENS.get(self._device.type, _PADDING_TOKENS_ELSEWHERE)
        groups: list[list[int]] = []
        padding = longest = 0
        # Rows from position 0 on need no mask, and are kept by themselves.
        for i in np.lexsort((-n_new, starts > 0)).tolist():
            fits = groups and (starts[i] > 0) == (starts[groups[-1][0]] > 0)
            fits = fits and padding + longest - n_new[i] <= allowed
            if fits and longest * (len(groups[-1]) + 1) <= self.max_tokens_per_batch:
                groups[-1].append(i)
                padding += longest - n_new[i]
            else:
                groups.append([i])
                padding, longest = 0, n_new[i]
        return [np.array(sorted(group)) for group in groups]

    def _forward_several(self, rows: Ints, ids: Ints, starts: Ints, stops: Ints) -> Tensor:
        """Runs the backbone over ids[starts:stops], padded; returns all states."""
        device = self._device
        n_new, n_keys = int((stops - starts).max()), int(stops.max())
        wanted = starts[:, None] + np.arange(n_new)  # (k, new)
        # Padding repeats the row's last token at the row's last position: always a legal input.
        positions = np.minimum(wanted, stops[:, None] - 1)
        new_ids = torch.from_numpy(np.take_along_axis(ids, positions, axis=1))
        position_ids = torch.from_numpy(positions).to(device)
        places = torch.from_numpy(self._places[rows]).to(device)
        self.fed_tokens += int((stops - starts).sum())
        if not starts.any():
            # Padding stands right of all that counts: the causal mask alone hides it.
            mask = torch.ones(len(rows), n_new, dtype=torch.long, device=device)
            return self._forward(new_ids, position_ids, mask, first_tokens(places, n_new))
        columns = torch.from_numpy(np.where(wanted < stops[:, None], positions, -1)).to(device)
        access = further_tokens(places, columns, n_keys)
        return self._forward(
            new_ids, position_ids, self._causal_mask(position_ids, n_keys), access
        )

    def _fits_packed(self, starts: Ints, stops: Ints) -> bool:
        """Tells whether these beginnings may go along in a pass of the newest tokens."""
        few = len(starts) <= _PACKED_RUNS and (stops - starts).sum() <= self.max_tokens_per_batch
        return self._can_pack and self._steps is None and few and self._layers[0].is_initialized

    def _feed_packed(
        self, rows: Ints, ids: Ints, positions: Ints, which: Ints, starts: Ints
    ) -> Tensor:
        """Feeds one token of each row, and before it what some rows lack, in one pass.

        Args:
            rows: (k,) slots, which have the first k rows of storage.
            ids: (k, L) their tokens.
            positions: (k,) of the one token.
            which: Rows that lack tokens before it.
            starts: (k,) the first position that is not in the storage.
        """
        device = self._device
        order, tokens, newest = self._newest(rows, ids, positions)
        places, columns, runs = [np.arange(len(rows))], [newest], []
        new_ids = [tokens]
        for i in which.tolist():
            start, stop, place = int(starts[i]), int(positions[i]), int(self._places[rows[i]])
            new_ids.append(ids[i, start:stop])
            columns.append(np.arange(start, stop))
            places.append(np.full(stop - start, place))
            runs.append(Run(place, start, stop, self._run_mask(start, stop)))
        column = torch.from_numpy(np.concatenate(columns)).to(device)
        place = torch.from_numpy(np.concatenate(places)).to(device)
        n_keys = int(newest.max()) + 1
        mask = self._causal_mask(column[: len(rows), None], n_keys)
        self.fed_tokens += len(column)
        hidden = self._forward(
            torch.from_numpy(np.concatenate(new_ids))[None],
            column[None],
            mask,
            packed_tokens(place, column, n_keys),
            packed=PackedPass(len(rows), mask, tuple(runs)),
        )[0, : len(rows)]
        return hidden if order is None else hidden[order]

    def _run_mask(self, start: int, stop: int) -> Tensor | None:
        if not start:
            return None
        return self._causal_mask(torch.arange(start, stop, device=self._device)[None], stop)

    def _causal_mask(self, position_ids: Tensor, n_keys: int) -> Tensor:
        assert self._dtype is not None
        return causal_mask(position_ids, n_keys, self._dtype)

    def _newest(
        self, rows: Ints, ids: Ints, positions: Ints
    ) -> tuple[Tensor | None, Ints, Ints]:
        """Returns how to bring states in the order of storage back into that of rows, if it
        differs, and in the order of storage the token of each row and its position."""
        places = self._places[rows]
        order = np.argsort(places)
        in_order = (places == np.arange(len(rows))).all()
        back = None if in_order else torch.from_numpy(places).to(self._device)
        return back, ids[order, positions[order]], positions[order]

    def _feed_one(self, rows: Ints, ids: Ints, positions: Ints) -> Tensor:
        """Feeds one token of each row, all in the first rows of storage; returns its states."""
        order, tokens, positions = self._newest(rows, ids, positions)
        self.fed_tokens += len(rows)
        if self._steps is not None and self._layers[0].is_initialized:
            hidden = self._steps.run(tokens, positions)
        else:
            hidden = self._forward_one(tokens, positions)
        return hidden if order is None else hidden[order]

    def _forward_one(self, tokens: Ints, positions: Ints) -> Tensor:
        """Runs the backbone over one token in each of the first rows of the storage."""
        device = self._device
        n_rows, n_keys = len(tokens), int(positions.max()) + 1
        position_ids = torch.from_numpy(positions).to(device)[:, None]
        if (positions == positions[0]).all():
            access = aligned_token(n_rows, n_keys - 1)
            mask = torch.ones(n_rows, n_keys, dtype=torch.long, device=device)
        else:
            places = torch.arange(n_rows, device=device)
            access = next_token(places, position_ids[:, 0], n_keys)
            mask = self._causal_mask(position_ids, n_keys)
        return self._forward(torch.from_numpy(tokens)[:, None], position_ids, mask, access)[:, 0]

    def _forward(
        self,
        new_ids: Tensor,
        position_ids: Tensor,
        mask: Tensor,
        access: Access,
        **read: PackedPass,
    ) -> Tensor:
        for layer in self._layers:
            layer.access = access
        hidden: Tensor = self._running(0)(
            input_ids=new_ids.to(position_ids.device, torch.long),
            attention_mask=mask,
            position_ids=position_ids,
            past_key_values=self._cache,
            use_cache=True,
            **read,
        ).last_hidden_state
        return hidden

    def _gather(self, rows: Ints) -> None:
        """Moves slots into the first rows of the storage, in any order; others make room."""
        n = len(rows)
        places = self._places[rows]
        if n == self.n_slots or places.max() < n:
            return
        at_place = np.argsort(self._places)
        moving = rows[places >= n]
        leaving = at_place[np.setdiff1d(np.arange(n), places)]
        n_keys = int(max(self._lengths[moving].max(), self._lengths[leaving].max()))
        slots = np.concatenate([moving, leaving])
        swapped = np.concatenate([leaving, moving])
        if n_keys and self._layers[0].is_initialized:
            self._copy(slots, swapped, n_keys)
        self._places[slots] = self._places[swapped]


def weights_version(owners: list[dict[str, nn.Parameter | None]]) -> list[tuple[int, int]]:
    """Returns where each parameter's memory lies and how often it was written to in place.

    Args:
        owners: the `_parameters` of every module that has some.
    """
    return [(p.data_ptr(), p._version) for own in owners for p in own.values() if p is not None]


def causal_mask(position_ids: Tensor, n_keys: int, dtype: torch.dtype) -> Tensor:
    """Returns (rows, 1, new, keys): 0 where a key may be seen, the lowest number elsewhere.

    Additive, because eager attention adds whatever mask it is given.
    """
    is_later = torch.arange(n_keys, device=position_ids.device) > position_ids[:, None, :, None]
    mask = torch.zeros(is_later.shape, dtype=dtype, device=position_ids.device)
    return mask.masked_fill_(is_later, torch.finfo(dtype).min)


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


def _agreement(ids: Ints, cached: Ints, limit: Ints) -> Ints:
    """Returns how many leading tokens of each row agree, at most its limit."""
    differs = (ids != cached) & (np.arange(ids.shape[1]) < limit[:, None])
    return np.where(differs.any(axis=1), differs.argmax(axis=1), limit)


def _compute_dtype(backbone: nn.Module) -> torch.dtype:
    """Returns the type that attention computes in: autocast's where it is on."""
    parameter = next(backbone.parameters())
    if torch.is_autocast_enabled(parameter.device.type):
        return torch.get_autocast_dtype(parameter.device.type)
    return parameter.dtype


def _to_numpy(values: Ints | Tensor) -> Ints:
    return values.cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
