"""The records of an episode: turns, examples and finished episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

_NO_IDS = np.zeros(0, np.int32)
_NO_MASK = np.zeros(0, np.bool_)
for _array in (_NO_IDS, _NO_MASK):
    _array.setflags(write=False)  # episodes without tokens share them

Role = Literal["system", "user", "assistant"]
StopReason = Literal["end_of_turn", "max_new_tokens"]


class UnfinishedText(str):
    """A whole turn of the agent that was cut off before it ended.

    Where a text is taken as a turn of the agent, no end-of-turn token follows this one.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Marks a text as cut off."""
        return super().__new__(cls, text)


@dataclass(frozen=True)
class Turn:
    """One message of a conversation.

    Attributes:
        role: Speaker: "system", "user" (the environment) or "assistant" (the agent).
        text: Plain text of the message. It is data: template markers in it have no effect.
        cut: The (start, end) character span that may be shortened, from its end, when the prompt
            does not fit the window. The rest of the text is never dropped. None: nothing may be.
    """

    role: Role
    text: str
    cut: tuple[int, int] | None = None


@dataclass(frozen=True)
class Example:
    """One task instance: a pure function of (dataset, split, index, seed).

    Attributes:
        id: Names the example within its dataset; the same text on every machine.
        prompt: The input of the task (a document, a question, a sentence, a request).
        references: Acceptable outputs; metrics take the best over them. At least one.
        metadata: JSON-like extras that the task or its rewards read ("context", "goal", ...).
    """

    id: str
    prompt: str
    references: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Episode:
    """A finished episode, as rewards see it.

    Attributes:
        example: The task instance that was played.
        turns: The whole conversation in order: opening, the agent's turns, the environment's.
        stop_reason: Reason why the agent's last turn ended.
        input_ids: Every token of the episode, int32 (length,).
        action_mask: True where the agent wrote the token, bool (length,).
        prompt_cut: True if something that the environment said was shortened to fit its window.
        n_opening: Number of turns that are the opening, whoever speaks in it.
    """

    example: Example
    turns: tuple[Turn, ...]
    stop_reason: StopReason = "end_of_turn"
    input_ids: NDArray[np.int32] = field(default_factory=lambda: _NO_IDS)
    action_mask: NDArray[np.bool_] = field(default_factory=lambda: _NO_MASK)
    prompt_cut: bool = False
    n_opening: int = 0

    @property
    def responses(self) -> tuple[str, ...]:
        """The agent's turns, in order; those of the opening do not count."""
        said = self.turns[self.n_opening :]
        return tuple(turn.text for turn in said if turn.role == "assistant")

    @property
    def response(self) -> str:
        """All that the agent said; several turns are joined by newlines."""
        return "\n".join(self.responses)


def to_messages(turns: Sequence[Turn]) -> tuple[dict[str, str], ...]:
    """Returns a conversation as chat models take it."""
    return tuple({"role": turn.role, "content": turn.text} for turn in turns)
