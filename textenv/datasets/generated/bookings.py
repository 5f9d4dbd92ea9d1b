"""Generated bookings: a customer's goal, and every wording in which the customer can tell it.

The customer wants a table: a cuisine, an area, a number of people, a day and a time. The opening
tells two to four of the five; the others have to be asked for. What the customer says is a pure
function of the goal, the wording seed and the question, so a user simulator needs no state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SLOTS: dict[str, tuple[str, ...]] = {
    "food": (
        "American",
        "Chinese",
        "French",
        "Greek",
        "Indian",
        "Italian",
        "Japanese",
        "Korean",
        "Mexican",
        "Spanish",
        "Thai",
        "Turkish",
    ),
    "area": ("north", "south", "east", "west", "center", "old town", "suburbs", "village"),
    "people": ("2", "3", "4", "5", "6", "7", "8"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "time": (
        "12:30 pm",
        "1 pm",
        "1:30 pm",
        "2 pm",
        "6 pm",
        "6:30 pm",
        "7 pm",
        "7:30 pm",
        "8 pm",
        "8:30 pm",
        "9 pm",
        "9:30 pm",
    ),
}
"""Every slot of a goal with its values, in the order in which a booking names them."""

ANY = "any"
"""The value of a slot that the customer does not care about; a booking leaves it out."""

_BOOKED = {
    "food": "{} food",
    "area": "in the {}",
    "people": "for {} people",
    "day": "on {}",
    "time": "at {}",
}

_MISSING = (1, 2, 3)
_MISSING_ODDS = (0.4, 0.4, 0.2)

# "{table}" is "a table for Italian food" or "a table", "{details}" the rest of what is told.
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
_REPEATS = (
    "Sorry, I do not understand. I need {table} {details}.",
    "I am not sure what you mean. We want {table} {details}.",
    "Pardon? I asked for {table} {details}.",
)


def booking_line(goal: Mapping[str, str]) -> str:
    """Spells the booking of a goal, or of the part of it that is known.

    Example:
        "Booked: Italian food in the north for 4 people on Friday at 7 pm."
    """
    wanted = [slot for slot in SLOTS if goal.get(slot, ANY) != ANY]
    return f"Booked: {' '.join(_BOOKED[slot].format(goal[slot]) for slot in wanted)}."


def opening_line(goal: Mapping[str, str], revealed: Sequence[str], wording: int) -> str:
    """Spells the customer's first turn, which tells the `revealed` slots, in their order."""
    return _request(_choose(_OPENINGS, wording, 0), goal, revealed)


def repeat_line(goal: Mapping[str, str], revealed: Sequence[str], wording: int, turn: int) -> str:
    """Spells the opening again in other words, for an agent that neither asked nor booked."""
    return _request(_choose(_REPEATS, wording, turn), goal, revealed)


def answer_line(goal: Mapping[str, str], asked: Iterable[str], wording: int, turn: int) -> str:
    """Spells the answer to a question: the `asked` slots, and no other."""
    wanted = set(asked)
    told = [_answer(slot, goal[slot]) for slot in SLOTS if slot in wanted]
    listed = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
    line = _choose(_ANSWERS, wording, turn).format(listed)
    return line[0].upper() + line[1:]


def _choose(choices: Sequence[str], wording: int, turn: int) -> str:
    return choices[(wording + turn) % len(choices)]


def _answer(slot: str, value: str) -> str:
    return {"food": f"{value} food", "area": f"the {value}", "people": f"{value} people"}.get(
        slot, value
    )


def _request(template: str, goal: Mapping[str, str], revealed: Sequence[str]) -> str:
    details = {
        "area": f"in the {goal['area']}",
        "people": f"for {goal['people']} people",
        "day": f"on {goal['day']}",
        "time": f"at {goal['time']}",
    }
    table = f"a table for {goal['food']} food" if "food" in revealed else "a table"
    told = " ".join(details[slot] for slot in revealed if slot in details)
    return template.format(table=table, details=told)


@dataclass(frozen=True)
class BookingsGenerator:
    """Draws a goal, the slots that the opening tells and their order, and the wording."""

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a row; its content is the opening, so no opening lies in two splits."""
        goal = {slot: values[int(rng.integers(len(values)))] for slot, values in SLOTS.items()}
        missing = int(rng.choice(_MISSING, p=_MISSING_ODDS))
        order = [list(SLOTS)[int(i)] for i in rng.permutation(len(SLOTS))]
        revealed = order[missing:]
        wording = int(rng.integers(1 << 16))
        return opening_line(goal, revealed, wording), {
            "goal": goal,
            "revealed": revealed,
            "wording": wording,
        }
