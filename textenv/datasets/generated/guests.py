"""Generated guests: what each wants booked, what the opening tells, and how the guest behaves.

Guests may change their minds, run out of patience, not care about a slot, answer one question at
a time, and say numbers in words: the harder the set, the more of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.generated.procedural import GradedGenerator, Picker
from textenv.datasets.generated.words import FIRST_NAMES, LAST_NAMES
from textenv.errors import ConfigError
from textenv.guests.booking_lines import ANY, SLOTS
from textenv.guests.guest_lines import GREETINGS, PEOPLE, REASONS, REQUESTS, RETURNS, opening_text


@dataclass(frozen=True)
class _Level:
    """What a difficulty stands for; chances are in percent, and numbers equally likely."""

    missing: tuple[int, ...]  # numbers of slots that the opening leaves out
    corrections: int  # that the guest changes their mind, and as much again for a second time
    patience: tuple[int, ...]  # numbers of useless turns that the guest bears
    indifferent: int  # that the guest does not care about one of the missing slots
    one_at_a_time: int  # that the guest answers one question at a time
    in_words: int  # that the guest says numbers in words


_LEVELS = {
    "easy": _Level((1, 2, 2, 3), 0, (3,), 0, 0, 0),
    "medium": _Level((1, 2, 2, 3), 50, (1, 2), 20, 0, 20),
    "hard": _Level((2, 3, 3, 4), 80, (0, 1), 40, 60, 60),
}
_INDIFFERENT_TO = ("food", "area", "day", "time")
# The guest answers as often as the agent asks: a later change would hardly ever be heard.
_CHANGE_TURNS = (1, 1, 2, 3)


@dataclass(frozen=True)
class GuestsGenerator(GradedGenerator):
    """Draws guests, as rows of `DialogueTask`.

    Attributes:
        difficulty: "easy", "medium" or "hard"; the default of each option below.
        corrections: The probability that a guest changes their mind about something told; a second
            change follows with the same probability.
        patience: Number of useless turns of the agent that every guest bears before leaving.
        one_at_a_time: The probability that a guest answers one question at a time.
        returning: The probability that a guest is in the house's book. Every guest of such a set
            has been there before and says so; None for a set of guests who have not.
    """

    corrections: float | None = None
    patience: int | None = None
    one_at_a_time: float | None = None
    returning: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("corrections", "one_at_a_time", "returning"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 <= value <= 1):
                raise ConfigError(f"'{name}' of dataset 'guests' is {value!r}; use 0 to 1.")
        patience = self.patience
        whole = isinstance(patience, int) and not isinstance(patience, bool)
        if patience is not None and not (whole and patience >= 0):
            raise ConfigError(
                f"The 'patience' of dataset 'guests' is {patience!r}; use a whole number from 0 up."
            )

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a row; its content is the opening, so no opening lies in two splits."""
        picker = Picker(rng)
        level = _LEVELS[self.difficulty]
        goal = {slot: picker.pick(values) for slot, values in SLOTS.items()}
        order = picker.distinct(tuple(SLOTS), len(SLOTS))
        missing = picker.pick(level.missing)
        unknown, told = order[:missing], order[missing:]
        # One missing slot at least has a value, so that there is something to find out.
        free = [slot for slot in unknown[1:] if slot in _INDIFFERENT_TO]
        if _happens(picker, level.indifferent, None) and free:
            goal[free[0]] = ANY
        in_words = _happens(picker, level.in_words, None)
        changes = self._changes(picker, level, goal, told)
        said = [
            picker.pick(GREETINGS).format(
                name=f"{picker.pick(FIRST_NAMES)} {picker.pick(LAST_NAMES)}"
            ),
            opening_text(picker.pick(REQUESTS), goal, told, in_words),
            picker.pick(REASONS).format(who=picker.pick(PEOPLE)),
        ]
        patience = picker.pick(level.patience)
        wording = picker.below(1 << 16)
        one_at_a_time = _happens(picker, level.one_at_a_time, self.one_at_a_time)
        in_book = _happens(picker, 0, self.returning)
        if self.returning is not None:
            said.insert(1, picker.pick(RETURNS))
        opening = " ".join(said)
        return opening, {
            "goal": goal,
            "revealed": list(told),
            "wording": wording,
            "opening": opening,
            "patience": patience if self.patience is None else self.patience,
            "changes": changes,
            "one_at_a_time": one_at_a_time,
            "in_words": in_words,
            "in_book": in_book,
        }

    def _changes(
        self, picker: Picker, level: _Level, goal: Mapping[str, str], told: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        """Draws up to two changes of mind: the first about what the opening tells."""
        slots = [picker.pick(told)]
        others = picker.distinct(tuple(slot for slot in SLOTS if slot != slots[0]), 2)
        slots.append(others[0] if goal[others[0]] != ANY else others[1])
        changes: list[dict[str, Any]] = []
        for i, slot in enumerate(slots):
            value = picker.pick(tuple(v for v in SLOTS[slot] if v != goal[slot]))
            turn = picker.pick(_CHANGE_TURNS) if i else 1
            if _happens(picker, level.corrections, self.corrections) and len(changes) == i:
                changes.append({"slot": slot, "value": value, "turn": turn})
        return changes


def _happens(picker: Picker, percent: int, chance: float | None) -> bool:
    """Draws one number whatever the odds, so that an option changes nothing else of a guest."""
    per_mille = percent * 10 if chance is None else round(chance * 1000)
    return picker.below(1000) < per_mille
