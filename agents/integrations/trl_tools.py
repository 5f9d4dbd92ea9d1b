"""Environments as TRL's `environment_factory`: the model talks to them by calling a tool.

    GRPOTrainer(
        model, train_dataset=Dataset.from_list(prompt_rows("TextDialogue-v0", 512)),
        environment_factory=environment_factory("TextDialogue-v0"), ...
    )

TRL resets an environment for each completion, offers its method `say` to the model as a tool, and
asks it for the reward. This needs a model that calls tools. `agents.integrations.trl` lets a model
speak in plain turns, as the environments mean it, and scores whole batches.

This module does not import TRL. Its interface is that of TRL 1.16, which calls it experimental.
"""

from __future__ import annotations

from typing import Any, ClassVar

from agents.integrations.conversation import Conversation
from textenv.errors import shown
from textenv.vector import make_core

__all__ = ["TextToolEnvironment", "environment_factory"]

OVER = "The conversation is over."


class TextToolEnvironment:
    """One conversation; every public method but `reset` and `get_reward` is a tool of the model."""

    _id: ClassVar[str]
    _arguments: ClassVar[dict[str, Any]]

    def __init__(self) -> None:
        self._conversation = Conversation(self._id, **self._arguments)
        self._error: Exception | None = None

    def reset(self, *, index: int, split: str, **columns: Any) -> None:
        """Begins the episode of a row of `prompt_rows`; its prompt is the opening.

        Args:
            index: Number of the example.
            split: Split of the example.
            columns: Further columns of the row.

        Raises:
            ConfigError: There is no such example.
        """
        self._error = None
        self._conversation.start(self._conversation.example(split, int(index)))

    def say(self, message: str) -> str:
        """Says something to the user. The user hears only what is said by this tool.

        Args:
            message: What to say.

        Returns:
            The user's answer.
        """
        if not isinstance(message, str):  # a slip of the model's, which ends no training
            raise TypeError(f"message is a text, not {shown(message)}.")
        try:
            answer = self._conversation.say(message)
        except Exception as error:
            # TRL shows it to the model as the tool's answer, and goes on.
            self._error = error
            raise
        return OVER if answer is None else answer

    def get_reward(self) -> float:
        """Returns the reward of the episode.

        An episode that the model left before its end is paid as if the model had fallen silent.

        Raises:
            Exception: The environment failed within the episode, and TRL went on.
        """
        if self._error is not None:
            raise self._error
        self._conversation.fall_silent()
        return self._conversation.reward


def environment_factory(id: str, **arguments: Any) -> type[TextToolEnvironment]:
    """Makes a class of environments for GRPOTrainer's `environment_factory`.

    TRL logs the reward as `rewards/<id>/mean`. For several environments in one training, give TRL a
    dict of factories by name, and the rows a column "environment".

    Args:
        id: Id of the environment.
        arguments: Further arguments of the environment.

    Raises:
        TextEnvError: There is no such environment, or it refuses an argument.
    """
    make_core(id, 1, arguments)  # raises here, not in the trainer
    return type(id, (TextToolEnvironment,), {"_id": id, "_arguments": arguments})
