"""The three action levels of a task: what the agent sees and does; the transition is the same.

At token level an action is the next token; at text level a whole turn, as a string; at select level
the number of one of the task's candidate replies. Whatever the level, an episode is kept as tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from textenv.errors import ConfigError, UnknownNameError
from textenv.examples import to_messages
from textenv.rendering import transcript_text
from textenv.slots import Rows, Slots
from textenv.spaces import AnyText, MessagesSpace
from textenv.tasks.base import Task
from textenv.tokenization import TextTokenizer

Info = dict[str, Any]
Observation = Any  # a dict of arrays at token and select level, texts at text level

ACTION_LEVELS = ("token", "text", "select")
TEXT_OBSERVATIONS = ("messages", "string")


class ActionLevel(ABC):
    """What differs between the action levels.

    Attributes:
        observation_space: Space of one slot's observation.
        action_space: Space of one slot's action.
    """

    observation_space: gym.Space[Any]
    action_space: gym.Space[Any]

    def __init__(self, slots: Slots, tokenizer: TextTokenizer, budget: int) -> None:
        self._slots = slots
        self._tokenizer = tokenizer
        self._budget = budget

    def begin_turn(self, slot: int) -> Info:
        """Readies a slot for the agent's next turn; returns what info says of it."""
        return {}

    def observe(self) -> Observation:
        """Returns every slot's observation, batched; it shares no memory with the slots."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def observe_slot(self, slot: int) -> Observation:
        """Returns one slot's observation; it shares no memory with the slots."""
        return {name: array[slot].copy() for name, array in self._arrays().items()}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Returns the arrays of an observation, (n_slots, ...) each, as they stand in memory."""
        raise NotImplementedError("a level without arrays observes in its own way")

    @abstractmethod
    def write(self, rows: Rows, actions: Any) -> NDArray[np.intp]:
        """Takes the actions of some slots, given one for every slot; returns whose turn ended.

        Raises:
            ConfigError: An action is not valid; then none was taken.
        """

    @abstractmethod
    def action_masks(self) -> NDArray[np.bool_]:
        """Returns which actions are open to each slot, bool (n_slots, n_actions).

        Raises:
            ConfigError: The actions cannot be counted.
        """


def make_level(
    name: str, slots: Slots, task: Task, tokenizer: TextTokenizer, budget: int, shown: str
) -> ActionLevel:
    """Makes an action level; the budget is that of a turn of the agent, its end token included.

    Raises:
        UnknownNameError: There is no such level, or form of observations at text level.
        ConfigError: The task has no candidates to select from.
    """
    if name not in ACTION_LEVELS:
        raise UnknownNameError("action_level", name, ACTION_LEVELS)
    if shown not in TEXT_OBSERVATIONS:
        raise UnknownNameError("text_observation", shown, TEXT_OBSERVATIONS)
    if name == "text":
        return TextLevel(slots, tokenizer, budget, as_string=shown == "string")
    if shown != "messages":
        raise ConfigError('text_observation is of the text level: give action_level="text", too.')
    if name == "token":
        return TokenLevel(slots, tokenizer, budget)
    return SelectLevel(slots, tokenizer, budget, task)


def token_spaces(
    window: int, vocab_size: int, max_new_tokens: int
) -> tuple[gym.spaces.Dict, gym.spaces.Discrete[np.int64]]:
    """Returns the observation and the action space of one slot at token level."""
    boxes = {
        **_text_boxes(window, vocab_size),
        "remaining": gym.spaces.Box(0, max_new_tokens, (1,), np.int32),
    }
    return gym.spaces.Dict(boxes), gym.spaces.Discrete(vocab_size)


class TokenLevel(ActionLevel):
    """An action is the next token."""

    def __init__(self, slots: Slots, tokenizer: TextTokenizer, budget: int) -> None:
        super().__init__(slots, tokenizer, budget)
        self._end_id = tokenizer.end_id
        self._vocab_size = tokenizer.vocab_size
        self.observation_space, self.action_space = token_spaces(
            slots.window, self._vocab_size, budget
        )

    def observe(self) -> Observation:
        """Returns every slot's observation; written out, since it is half of a step's time."""
        slots = self._slots
        return {
            "attention_mask": slots.attention_mask.copy(),
            "input_ids": slots.input_ids.copy(),
            "remaining": slots.remaining[:, None].copy(),
        }

    def observe_slot(self, slot: int) -> Observation:
        """Returns one slot's observation; written out for the same reason."""
        slots = self._slots
        return {
            "attention_mask": slots.attention_mask[slot].copy(),
            "input_ids": slots.input_ids[slot].copy(),
            "remaining": slots.remaining[slot : slot + 1].copy(),
        }

    def write(self, rows: Rows, actions: Any) -> NDArray[np.intp]:
        """Writes a token in each of some slots."""
        tokens = _whole_numbers(self._slots, rows, actions, "token id", self._vocab_size)
        self._slots.append_token(rows, tokens)
        ended = tokens == self._end_id
        ended |= self._slots.remaining[rows] == 0
        if not np.count_nonzero(ended):
            return _NO_ROWS
        return np.flatnonzero(ended) if isinstance(rows, slice) else rows[ended]

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns True for every token but the marks of the template; the end of a turn is open."""
        masks = np.ones((self._slots.n_slots, self._vocab_size), np.bool_)
        masks[:, [id for id in self._tokenizer.special_ids if id != self._end_id]] = False
        return masks


class TextLevel(ActionLevel):
    """An action is a whole turn, as a string; one that is too long for its budget is cut."""

    def __init__(
        self, slots: Slots, tokenizer: TextTokenizer, budget: int, as_string: bool
    ) -> None:
        super().__init__(slots, tokenizer, budget)
        self._as_string = as_string
        self.observation_space = AnyText() if as_string else MessagesSpace()
        self.action_space = AnyText()

    def observe(self) -> Observation:
        """Returns every slot's observation."""
        return tuple(self.observe_slot(slot) for slot in range(self._slots.n_slots))

    def observe_slot(self, slot: int) -> Observation:
        """Returns one slot's observation."""
        turns = self._slots.turns[slot]
        return transcript_text(turns) if self._as_string else to_messages(turns)

    def write(self, rows: Rows, actions: Any) -> NDArray[np.intp]:
        """Writes a turn in each of some slots."""
        n_slots = self._slots.n_slots
        is_one = isinstance(actions, str) or not isinstance(actions, Sequence | np.ndarray)
        if is_one or len(actions) != n_slots:
            raise ConfigError(
                f"step takes one text a slot, {n_slots} of them, in a list or a tuple."
            )
        numbers = np.arange(n_slots)[rows]
        for slot in numbers.tolist():
            if not isinstance(actions[slot], str):
                raise ConfigError(
                    f"An action is a text at text level, and slot {slot} was given "
                    f"{type(actions[slot]).__name__}. For token ids: gym.make(..., "
                    'action_level="token").'
                )
        for slot in numbers.tolist():
            ids = self._tokenizer.encode_turn(actions[slot], self._budget)
            self._slots.append(slot, ids, by_agent=True)
        return numbers

    def action_masks(self) -> NDArray[np.bool_]:
        """There are none: every text is allowed."""
        raise ConfigError("There are no action masks at text level: every text is allowed.")


class SelectLevel(ActionLevel):
    """An action is the number of one of the candidate replies.

    A turn may offer fewer than N: the places that are left have no tokens and are closed in the
    action masks; an agent that takes one all the same says nothing.
    """

    def __init__(self, slots: Slots, tokenizer: TextTokenizer, budget: int, task: Task) -> None:
        super().__init__(slots, tokenizer, budget)
        self._task = task
        self._n = task.n_candidates
        if self._n < 1:
            raise ConfigError(
                f"{type(task).__name__} offers no candidates to select from. Use action_level "
                '"token" or "text", or a task with candidates, such as TextQAChoice-v0.'
            )
        shape = (slots.n_slots, self._n, budget)
        self._ids = np.full(shape, tokenizer.pad_id, np.int32)
        self._mask = np.zeros(shape, np.int8)
        self.observation_space = gym.spaces.Dict(
            {
                **_text_boxes(self._n * budget, tokenizer.vocab_size, "candidate_"),
                **_text_boxes(slots.window, tokenizer.vocab_size),
            }
        )
        self.action_space = gym.spaces.Discrete(self._n)

    def begin_turn(self, slot: int) -> Info:
        """Encodes the candidates of the turn; info names them."""
        example = self._slots.example(slot)
        candidates = self._task.candidates(example, tuple(self._slots.turns[slot]))
        if not 0 < len(candidates) <= self._n:
            raise ConfigError(
                f"Example '{example.id}' offers {len(candidates)} candidates; at select level "
                f"{type(self._task).__name__} needs 1 to {self._n}. Use action_level "
                '"token" or "text", or rows with candidates.'
            )
        self._ids[slot] = self._tokenizer.pad_id
        self._mask[slot] = 0
        for i, text in enumerate(candidates):
            ids = [*self._tokenizer.encode(text), self._tokenizer.end_id]
            if len(ids) > self._budget:
                raise ConfigError(
                    f"A candidate of example '{example.id}' has {len(ids)} tokens and "
                    f"max_new_tokens is {self._budget}: cut short it would be another reply. "
                    "Raise max_new_tokens."
                )
            self._ids[slot, i, : len(ids)] = ids
            self._mask[slot, i, : len(ids)] = 1
        return {"candidates": candidates}

    def _arrays(self) -> dict[str, NDArray[Any]]:
        n_slots = self._slots.n_slots
        return {
            "attention_mask": self._slots.attention_mask,
            "candidate_ids": self._ids.reshape(n_slots, -1),
            "candidate_mask": self._mask.reshape(n_slots, -1),
            "input_ids": self._slots.input_ids,
        }

    def write(self, rows: Rows, actions: Any) -> NDArray[np.intp]:
        """Writes the chosen candidate in each of some slots."""
        chosen = _whole_numbers(self._slots, rows, actions, "candidate's number", self._n)
        numbers = np.arange(self._slots.n_slots)[rows]
        for slot, choice in zip(numbers.tolist(), chosen.tolist(), strict=True):
            ids = self._ids[slot, choice][self._mask[slot, choice] == 1].tolist()
            self._slots.append(slot, ids or [self._tokenizer.end_id], by_agent=True)
        return numbers

    def action_masks(self) -> NDArray[np.bool_]:
        """Returns True for every candidate that the turn offers."""
        return np.asarray(self._mask.any(axis=2))


_NO_ROWS = np.zeros(0, np.intp)


def _text_boxes(length: int, vocab_size: int, prefix: str = "") -> dict[str, gym.Space[Any]]:
    mask, ids = (f"{prefix}mask", f"{prefix}ids") if prefix else ("attention_mask", "input_ids")
    return {
        mask: gym.spaces.Box(0, 1, (length,), np.int8),
        ids: gym.spaces.Box(0, vocab_size - 1, (length,), np.int32),
    }


def _whole_numbers(
    slots: Slots, rows: Rows, actions: Any, what: str, n: int
) -> NDArray[np.integer[Any]]:
    """Returns the actions of some slots, refusing what would be stored and fail far from here."""
    actions = np.asarray(actions)
    if actions.dtype.kind in "UO" and any(isinstance(one, str) for one in actions.flat):
        raise ConfigError(
            f'An action is a {what}, not a text. For texts: gym.make(..., action_level="text").'
        )
    if actions.shape != (slots.n_slots,):
        raise ConfigError(
            f"step takes one {what} a slot, shape ({slots.n_slots},), not {actions.shape}."
        )
    if actions.dtype.kind not in "iu":
        raise ConfigError(f"An action is a {what}, a whole number, not {actions.dtype}.")
    taken: NDArray[np.integer[Any]] = actions[rows]
    # Seen as unsigned, a negative number is a huge one: one comparison finds both.
    unsigned = taken.view(np.uint64) if taken.dtype == np.int64 else taken.astype(np.uint64)
    wrong = unsigned >= n
    if np.count_nonzero(wrong):
        bad = int(np.flatnonzero(wrong)[0])
        slot = np.arange(slots.n_slots)[rows][bad]
        raise ConfigError(
            f"Action {taken[bad]} in slot {slot} is not a {what}: they go from 0 to {n - 1}."
        )
    return taken
