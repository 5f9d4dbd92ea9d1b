"""The contract of a task: its columns, its opening, its replies and its ideal answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from textenv.examples import Example, Turn


@dataclass(frozen=True)
class Field:
    """One column that a task reads from a dataset row.

    Attributes:
        name: The task's own name for it.
        aliases: Other column names that are taken without a mapping ("article" for "document").
        required: A dataset without it is refused.
        takes: Kind of its values: one "text"; "texts", one text or several equally good ones, so
            that rows which differ in nothing else can be one example; "data", any lists and
            mappings.
        shared: Whether several examples may have the same text in it, such as the passage that
            many questions are about.
    """

    name: str
    aliases: tuple[str, ...] = ()
    required: bool = True
    takes: Literal["text", "texts", "data"] = "text"
    shared: bool = False


def ask(instruction: str, source: str) -> tuple[Turn, ...]:
    """Returns an instruction and its source as one user turn, of which the source may be cut."""
    text = instruction + source
    return (Turn("user", text, cut=(len(instruction), len(text))),)


class Task(ABC):
    """A text task: turns dataset rows into examples, and examples into conversations.

    A task holds no state and draws no random numbers; what varies lies in the example.

    Attributes:
        fields: The columns that it reads from a dataset row.
        n_candidates: The most replies to choose from at any turn, which is the number of actions
            at select level; 0 if the task offers none.
    """

    fields: ClassVar[tuple[Field, ...]]
    n_candidates: int = 0

    @abstractmethod
    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds the example of one dataset row, whose keys are the names in `fields`.

        Raises:
            DatasetError: A value is missing, empty or of the wrong type.
        """

    @abstractmethod
    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the first messages; the last of them is the user's."""

    def split_key(self, example: Example) -> str:
        """Returns what decides the split of an example: what the agent sees of its row.

        By default all of the opening. A task whose arguments change the opening leaves out what
        they add, so that splits are the same with other arguments.
        """
        return "\n".join(turn.text for turn in self.opening(example))

    def reply(self, example: Example, transcript: tuple[Turn, ...]) -> Turn | None:
        """Returns the environment's next turn after the agent has spoken, or None to end.

        Args:
            example: The task instance.
            transcript: Every turn so far; the last is the agent's.
        """
        return None

    def begin(self, example: Example, slot: int) -> Example:
        """Readies an episode in a slot, before its opening; by default there is nothing to do.

        Only for a task that is played elsewhere, such as behind a server.

        Args:
            example: The task instance.
            slot: Number of the slot. The episode that it played before is over.

        Returns:
            The example, to which what only this episode knows may be added.
        """
        return example

    def finish(self, example: Example, transcript: tuple[Turn, ...]) -> None:  # noqa: B027 - optional
        """Hears the last turn of an agent that has taken `max_turns`, which `reply` is not asked.

        By default there is nothing to do.
        """

    def gold(self, example: Example, transcript: tuple[Turn, ...] = ()) -> str:
        """Returns an ideal next agent turn: by default the first reference."""
        return example.references[0]

    def candidates(self, example: Example, transcript: tuple[Turn, ...] = ()) -> tuple[str, ...]:
        """Returns the replies that the agent may choose from at select level.

        One of them is the ideal reply, `gold(example, transcript)`, and they all differ. By
        default they are the example's metadata "candidates".

        Args:
            example: The task instance.
            transcript: Every turn so far.
        """
        return tuple(example.metadata.get("candidates", ()))
