"""One episode, turn by turn and as text, for trainers that run the conversation themselves."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from textenv.examples import Example, Turn
from textenv.vector import make_core

_ONLY = np.zeros(1, np.int64)  # the core has one slot


class Conversation:
    """An environment in which the agent says whole turns.

    Attributes:
        reward: Reward of the episode; 0 until it is over.
        components: Components of the reward; empty until the episode is over.
        over: Whether the episode has ended, or none has begun.

    Args:
        id: Id of the environment.
        arguments: Further arguments of the environment.
    """

    def __init__(self, id: str, **arguments: Any) -> None:
        self._core = make_core(id, 1, arguments)
        # Examples are named by their index, so that this draws nothing.
        self._rng = np.random.default_rng(0)
        self.reward = 0.0
        self.components: dict[str, float] = {}
        self.over = True

    def example(self, split: str, index: int) -> Example:
        """Returns an example of the data set.

        Raises:
            ConfigError: There is no such split or example.
        """
        return self._core.choose_example(self._rng, {"split": split, "index": index})

    def examples(self, split: str) -> int:
        """Returns how many examples a split has."""
        return len(self._core.dataset(split))

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the turns with which an episode of an example begins, before any is cut."""
        return tuple(self._core.task.opening(example))

    def start(self, example: Example) -> None:
        """Begins an episode of an example; one that was running is dropped."""
        self.reward, self.components, self.over = 0.0, {}, True
        self._core.start(0, example)
        self.over = False

    def say(self, text: str) -> str | None:
        """Says the agent's next turn, and returns the answer; None if the episode is over.

        A text longer than `max_new_tokens` is cut to it, as in the environment.

        Raises:
            RewardError: The episode ended and could not be scored.
        """
        if self.over:
            return None
        try:
            _, terminated, truncated, infos = self._core.say(_ONLY, [text])
        finally:
            self.over = not bool(self._core.playing[0])
        if terminated[0] or truncated[0]:
            self.reward = float(self._core.worth[0])
            self.components = infos.get(0, {}).get("reward_components", {})
            return None
        return self._core.turns[0][-1].text

    def fall_silent(self) -> None:
        """Plays what is left of the episode with empty turns, so that it is scored."""
        while not self.over:
            self.say("")


class ConversationPool:
    """Conversations of one environment, lent to episodes that run at the same time.

    Args:
        id: Id of the environment.
        arguments: Further arguments of the environment.
    """

    def __init__(self, id: str, **arguments: Any) -> None:
        self._id, self._arguments = id, arguments
        self._idle: list[Conversation] = []
        self._lock = threading.Lock()

    def take(self) -> Conversation:
        """Returns a conversation that no running episode has."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Conversation(self._id, **self._arguments)

    def give_back(self, conversation: Conversation) -> None:
        """Takes a conversation back."""
        with self._lock:
            self._idle.append(conversation)
