"""The memory of running episodes, one in each slot: tokens, masks, budgets and turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from textenv.examples import Example, Turn

# Some slots by number, or all of them as slice(None): numpy is far quicker with a slice.
Rows: TypeAlias = NDArray[np.intp] | slice

ALL_ROWS = slice(None)


class Slots:
    """Token arrays and conversations of `n_slots` episodes.

    Attributes:
        n_slots: Number of episodes that run at the same time.
        window: The most tokens of one episode.
        input_ids: Every token of each slot's episode so far, int32 (n_slots, window).
        attention_mask: 1 where there is a token, int8 (n_slots, window).
        action_mask: True where the agent wrote the token, bool (n_slots, window).
        lengths: Tokens so far, int64 (n_slots,).
        remaining: Tokens left to the agent in this turn, int32 (n_slots,).
        playing: False for a slot that ended and was not reset, bool (n_slots,).
        n_actions: Actions taken since the start of the episode, int64 (n_slots,).
        examples: Example that each slot plays, None before its first episode.
        turns: Each slot's conversation so far, without an unfinished turn of the agent.
        n_opening: Number of these turns that are the opening.
        turn_starts: Index at which the agent's latest turn begins, int64 (n_slots,).
        prompt_cut: True where something that the environment said was shortened to fit.
    """

    def __init__(self, n_slots: int, window: int, pad_id: int) -> None:
        self.n_slots = n_slots
        self.window = window
        self._pad_id = pad_id
        self.input_ids = np.full((n_slots, window), pad_id, np.int32)
        self.attention_mask = np.zeros((n_slots, window), np.int8)
        self.action_mask = np.zeros((n_slots, window), np.bool_)
        self.lengths = np.zeros(n_slots, np.int64)
        self.remaining = np.zeros(n_slots, np.int32)
        self.playing = np.zeros(n_slots, np.bool_)
        self.n_actions = np.zeros(n_slots, np.int64)
        self.examples: list[Example | None] = [None] * n_slots
        self.turns: list[list[Turn]] = [[] for _ in range(n_slots)]
        self.n_opening = [0] * n_slots
        self.turn_starts = np.zeros(n_slots, np.int64)
        self.prompt_cut = [False] * n_slots
        self._row_starts = np.arange(n_slots) * window

    def open(self, slot: int, example: Example, turns: Sequence[Turn], ids: Sequence[int]) -> None:
        """Empties a slot for an episode of an example, and writes its opening."""
        self.input_ids[slot] = self._pad_id
        self.attention_mask[slot] = 0
        self.action_mask[slot] = False
        self.lengths[slot] = 0
        self.n_actions[slot] = 0
        self.examples[slot] = example
        self.turns[slot] = [*turns]
        self.n_opening[slot] = len(turns)
        self.prompt_cut[slot] = False
        self.append(slot, ids)

    def rows_playing(self) -> Rows:
        """Returns the slots whose episode runs."""
        # Counting is five times as quick as `all`.
        everyone = np.count_nonzero(self.playing) == self.n_slots
        return ALL_ROWS if everyone else np.flatnonzero(self.playing)

    def append_token(self, rows: Rows, tokens: NDArray[np.integer[Any]]) -> None:
        """Writes the agent's next token in each of k slots, given (k,) ids."""
        # One flat position a slot addresses all three arrays, at a third of the cost of pairs. The
        # flat views are made anew: a copied environment must not write into its original.
        at = self._row_starts[rows] + self.lengths[rows]
        self.input_ids.reshape(-1)[at] = tokens
        self.attention_mask.reshape(-1)[at] = 1
        self.action_mask.reshape(-1)[at] = True
        self.lengths[rows] += 1
        self.remaining[rows] -= 1

    def append(self, slot: int, ids: Sequence[int], by_agent: bool = False) -> None:
        """Writes several tokens of one speaker in a slot."""
        start = int(self.lengths[slot])
        stop = start + len(ids)
        self.input_ids[slot, start:stop] = ids
        self.attention_mask[slot, start:stop] = 1
        if by_agent:
            self.action_mask[slot, start:stop] = True
            self.remaining[slot] -= len(ids)
        self.lengths[slot] = stop

    def last_token(self, slot: int) -> int:
        """Returns the newest token of a slot."""
        return int(self.input_ids[slot, self.lengths[slot] - 1])

    def written(self, slot: int) -> list[int]:
        """Returns the tokens of the agent's latest turn so far."""
        ids: list[int] = self.input_ids[slot, self.turn_starts[slot] : self.lengths[slot]].tolist()
        return ids

    def example(self, slot: int) -> Example:
        """Returns what a slot plays."""
        example = self.examples[slot]
        assert example is not None, "the slot was never started"
        return example
