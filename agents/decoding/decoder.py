"""Final hidden states of growing token sequences, cached slot by slot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agents.decoding.cuda_graphs import can_capture
from agents.decoding.slot_passes import SlotPasses
from agents.decoding.twin import Twin, wants_twin
from agents.decoding.weights import (
    WeightsContent,
    WeightsVersion,
    adapter_states,
    find_adapters,
    find_owners,
    weights_version,
)
from agents.models.compilation import is_compiled, uncompiled
from agents.models.loading import teacher_forced_hidden
from agents.models.windows import check_cacheable, check_window

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


class SlotDecoder:
    """Final hidden states of growing token sequences, one slot each, computing only what is new.

    A slot's keys and values are valid for the token prefix that they were computed from, under the
    weights that computed them. So a slot may grow by any number of tokens, go back, or start again
    while others go on. New weights drop the cache, however they were written: see `feed`.

    A prefix that another slot has, or that several slots begin with at once, is computed for one of
    them and copied to the others. Prompts of several slots take one padded pass, unless they differ
    much in length; the last token of every slot then goes through one pass of a token a row, which
    on a GPU is a captured graph. Elsewhere a few prompts go along in that pass. Weights of linear
    layers are cast, packed and merged with adapters once for all passes of the same weights.

    Args:
        backbone: the decoder without its output layer, as
            `agents.models.loading.backbone_and_head` returns it.
        n_slots: the number of sequences kept.
        window: the most tokens of one sequence.
        max_tokens_per_batch: the most tokens, padding included, of one pass; a single sequence may
            have more.
        head: the output layer, for `logits`.
        cached: False computes every sequence anew in each call, for architectures that cannot go on
            from keys and values of single slots.

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
        cached: bool = True,
    ) -> None:
        check_window(backbone, window)
        if cached:
            check_cacheable(backbone, window)
        self.backbone = backbone
        self.head = head
        self.n_slots = n_slots
        self.window = window
        self.cached = cached
        self.max_tokens_per_batch = max_tokens_per_batch
        self.fed_tokens = 0
        self._ids = np.zeros((n_slots, window), dtype=np.int32)
        self._lengths = np.zeros(n_slots, dtype=np.int64)
        # The row of storage that each slot has: those in play keep to the first rows, so that a
        # step reads them in place.
        self._places = np.arange(n_slots)
        self._is_compiled = is_compiled(backbone)
        self._parts: list[nn.Module] = [backbone, *([] if head is None else [head])]
        self.drop()

    def drop(self) -> None:
        """Forgets everything cached, and frees its memory."""
        self._lengths[:] = 0
        # Parameters are looked up anew: an assignment replaces the objects.
        self._owners = find_owners(self._parts)
        self._adapters = find_adapters(self._parts)
        self._adapter_states = adapter_states(self._adapters)
        self._version: WeightsVersion | None = None
        self._content: WeightsContent | None = None
        self._dtype: torch.dtype | None = None
        self._twins: list[Twin | None] = [None] * len(self._parts)
        self._passes: SlotPasses | None = None

    def forget(self) -> None:
        """Forgets everything cached, but keeps its memory for what comes."""
        self._lengths[:] = 0

    def feed(
        self,
        rows: Ints | Tensor,
        input_ids: Ints | Tensor,
        lengths: Ints | Tensor,
        exact: bool = False,
    ) -> Tensor:
        """Returns the final hidden state of each row's last token.

        Keys of other weights are never used if `exact`, nor where no row goes on by one token, as
        in the first step of a rollout. In other steps these changes are seen at once: an
        optimizer's step, every write that autograd counts, replaced tensors, switched or merged
        adapters, and writes of any kind that change most of a parameter. Writes past autograd to a
        few numbers of a parameter, or to a buffer, are seen when all rows have begun new texts.

        Args:
            rows: (k,) the slots in play, each at most once.
            input_ids: (k, L) the whole token sequences so far, right-padded.
            lengths: (k,) their true lengths, from 1 to `window`.
            exact: Whether to compare all weights with those that computed the cached keys, which
                reads each of them once.

        Returns:
            (k, hidden), on the backbone's device, without gradient.
        """
        rows, ids, lengths = _to_numpy(rows), _to_numpy(input_ids), _to_numpy(lengths)
        if lengths.min() < 1 or lengths.max() > self.window:
            raise ValueError(
                f"lengths must lie between 1 and the window of {self.window} tokens, "
                f"not {lengths.min()} to {lengths.max()}."
            )
        ids = ids[:, : lengths.max()].astype(np.int32, copy=False)
        starts = self._common_prefix(rows, ids, lengths)
        goes_on = (starts == lengths - 1) & (self._lengths[rows] == starts)
        if self._renew(exact or not goes_on.any()):
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
            compute = self._compute if self.cached else self._compute_anew
            hidden = compute(rows, ids, starts, lengths)
        self._ids[rows, : ids.shape[1]] = ids
        self._lengths[rows] = lengths
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Returns what the output layer makes of hidden states that `feed` has just returned."""
        logits: Tensor = self._running(1)(hidden)
        return logits

    def _renew(self, exact: bool) -> bool:
        """Forgets what other weights, or another type of computation, have made.

        Returns whether it did.
        """
        # Keys in another type, after autocast was switched, are as stale as those of old weights.
        dtype = _compute_dtype(self.backbone)
        version = weights_version(self._owners)
        switched = adapter_states(self._adapters) != self._adapter_states
        if (
            dtype == self._dtype
            and not switched
            and version == self._version
            and self._content is not None
            and self._content.is_same(exact)
        ):
            return False
        moved = self._version is None or [at for at, _ in version.writes] != [
            at for at, _ in self._version.writes
        ]
        if dtype != self._dtype or moved or switched:
            self.drop()
            self._passes = self._start(dtype)
            # Read again: dropping looks the parameters up anew.
            version = weights_version(self._owners)
        self.forget()
        for twin in self._twins:
            if twin is not None:
                twin.refresh()
        if self._content is None:
            self._content = WeightsContent(self._parts)
        else:
            self._content.renew()
        self._version = version
        return True

    def _start(self, dtype: torch.dtype) -> SlotPasses | None:
        self._dtype = dtype
        self._device = next(self.backbone.parameters()).device
        is_autocast = torch.is_autocast_enabled(self._device.type)
        self._twins = [
            Twin(part, dtype if is_autocast else None) if wants_twin(part, is_autocast) else None
            for part in self._parts
        ]
        if not self.cached:
            return None
        return SlotPasses(
            self._running(0), self.n_slots, self.window, dtype, captured=can_capture(self.backbone)
        )

    def _running(self, part: int) -> nn.Module:
        """Returns the module that computes: the part's twin, or the part itself."""
        twin = self._twins[part]
        return self._parts[part] if twin is None else twin.module

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
                    return self._feed_newest(rows, ids, before_last, starts)
            self._feed_several(rows[first], ids[first], starts[first], before_last[first])
            if len(followers):
                n_keys = int(before_last[followers].max())
                self._copy(rows[leaders], rows[followers], n_keys)
        return self._feed_newest(rows, ids, before_last, before_last)

    def _compute_anew(self, rows: Ints, ids: Ints, starts: Ints, lengths: Ints) -> Tensor:
        """Feeds ids[:lengths] of each row by whole passes; returns the last states."""
        device = next(self.backbone.parameters()).device
        groups = self._split(np.zeros_like(lengths), lengths)
        states = []
        for group in groups:
            n_new = lengths[group]
            new_ids = torch.from_numpy(ids[group, : n_new.max()]).to(device, torch.long)
            found = teacher_forced_hidden(self._running(0), new_ids)
            self.fed_tokens += int(n_new.sum())
            at = torch.from_numpy(n_new - 1).to(device)
            states.append(found[torch.arange(len(group), device=device), at])
        back = np.argsort(np.concatenate(groups))
        return torch.cat(states)[torch.from_numpy(back).to(device)]

    def _share(self, rows: Ints, ids: Ints, starts: Ints, stops: Ints) -> tuple[Ints, Ints, Ints]:
        """Copies beginnings that other slots have, and moves `starts` on.

        Returns rows that have to be computed up to `stops`; then rows that need just what one of
        these will have, and which one that is.
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
        assert self._passes is not None
        self._passes.copy(self._places[sources], self._places[targets], n_keys)

    def _feed_several(
        self, rows: Ints, ids: Ints, starts: Ints, stops: Ints, want_last: bool = False
    ) -> Tensor:
        """Feeds ids[starts:stops]; returns the states of the last of them, if wanted."""
        assert self._passes is not None
        states = []
        order = []
        for group in self._split(starts, stops):
            places = self._places[rows[group]]
            found = self._passes.several(places, ids[group], starts[group], stops[group])
            self.fed_tokens += int((stops[group] - starts[group]).sum())
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

    def _feed_newest(self, rows: Ints, ids: Ints, positions: Ints, starts: Ints) -> Tensor:
        """Feeds ids[starts:positions + 1] of all rows in one pass; returns the last states."""
        assert self._passes is not None
        places = self._places[rows]
        order = np.argsort(places)
        tokens = ids[order, positions[order]]
        self.fed_tokens += int((positions + 1 - starts).sum())
        before = [
            (int(places[i]), int(starts[i]), ids[i, starts[i] : positions[i]])
            for i in np.flatnonzero(starts < positions)
        ]
        if before:
            hidden = self._passes.packed(tokens, positions[order], before)
        else:
            hidden = self._passes.newest(tokens, positions[order])
        if (places == np.arange(len(rows))).all():
            return hidden
        return hidden[torch.from_numpy(places).to(hidden.device)]

    def _fits_packed(self, starts: Ints, stops: Ints) -> bool:
        """Tells whether these beginnings may go along in a pass of the newest tokens."""
        assert self._passes is not None
        few = len(starts) <= _PACKED_RUNS and (stops - starts).sum() <= self.max_tokens_per_batch
        return bool(few) and self._passes.can_pack

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
        assert self._passes is not None
        if n_keys and self._passes.is_used:
            self._copy(slots, swapped, n_keys)
        self._places[slots] = self._places[swapped]


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
