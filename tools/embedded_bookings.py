"""The dialogues that the embedded model learned from: a caller who answers one question, once.

They are simpler than those of TextDialogue, and no environment plays them. The embedded tokenizer
was learned from these very texts, so a change here would change every stream that it encodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from textenv.datasets.generated.procedural import ProceduralDataset
from textenv.examples import Example, Turn
from textenv.guests.booking_lines import SLOTS, booking_line, question_line
from textenv.guests.guest_lines import listed, opening_text
from textenv.tasks.base import Task

_MISSING = (1, 2, 3)
_MISSING_ODDS = (0.4, 0.4, 0.2)
_OPENINGS = (
    "I would like to book {table} {details}.",
    "Hello, can you book {table} {details}?",
    "Hi, I am looking for {table} {details}.",
    "Please find me {table} {details}.",
    "We need {table} {details}, please.",
    "Could you reserve {table} {details} for us?",
    "Good morning, I want {table} {details}.",
    "My friends and I would like {table} {details}.",
)
_ANSWERS = (
    "{}, please.",
    "{}, thank you.",
    "That would be {}.",
    "Let me see, {}.",
    "We would like {}.",
    "Sure, {}.",
)


class BookingTask(Task):
    """Asks a caller for all that is missing, then books."""

    fields = ()

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds the example of one of the rows below."""
        return Example(id, row["opening"], (booking_line(row["goal"]),), row)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the caller's request."""
        return (Turn("user", example.prompt),)

    def reply(self, example: Example, transcript: tuple[Turn, ...]) -> Turn | None:
        """Returns the answer to the agent's first turn, the question; None after the booking."""
        if len(transcript) > 2:
            return None
        goal, wording = example.metadata["goal"], example.metadata["wording"]
        said = listed(goal, example.metadata["missing"], in_words=False)
        line = _ANSWERS[(wording + 1) % len(_ANSWERS)].format(said)
        return Turn("user", line[0].upper() + line[1:])

    def gold(self, example: Example, transcript: tuple[Turn, ...] = ()) -> str:
        """Returns one question for all that is missing, then the booking."""
        if len(transcript) > 2:
            return example.references[0]
        return question_line(example.metadata["missing"])


class BookingsGenerator:
    """Draws a goal, the slots that the opening tells, their order, and the wording."""

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a row; its content is the opening."""
        goal = {slot: values[int(rng.integers(len(values)))] for slot, values in SLOTS.items()}
        n_missing = int(rng.choice(_MISSING, p=_MISSING_ODDS))
        order = [list(SLOTS)[int(i)] for i in rng.permutation(len(SLOTS))]
        missing = [slot for slot in SLOTS if slot in order[:n_missing]]
        wording = int(rng.integers(1 << 16))
        template = _OPENINGS[wording % len(_OPENINGS)]
        opening = opening_text(template, goal, order[n_missing:], in_words=False)
        return opening, {"goal": goal, "missing": missing, "wording": wording, "opening": opening}


def bookings() -> ProceduralDataset:
    """Returns the training split of these dialogues."""
    return ProceduralDataset("bookings", BookingsGenerator(), BookingTask())
