"""The simulated guest: what they want now, what they have told, and what they say next.

A guest is a pure function of an example and of what the agent has said: `follow` replays a
conversation from its start, so nothing has to be remembered between turns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from textenv.examples import Example, Turn
from textenv.guests import guest_lines
from textenv.guests.booking_lines import ANY, SLOTS, asked_slots, parse_booking


class Guest:
    """One conversation with the guest of an example, turn by turn.

    Attributes:
        goal: What the guest wants now, a value for each slot; changes of mind are in it from the
            moment that they are said.
        told: The slots that the guest has told, in the order of the telling.
        booking: Slots and values that the agent booked, or None.
        turns: Number of turns that the agent has taken.
        on_topic: Number of those turns that booked, or asked only for what was missing.
        wasted: Number of those turns that did neither.
        warned: True once the guest has asked for one question at a time.
        reply: Answer of the guest to the last turn; None if the conversation is over.
        over: True once the agent has booked or the guest has left.
        in_book: True if the house's book has all that this guest wants.
    """

    def __init__(self, example: Example) -> None:
        traits = example.metadata
        self.goal: dict[str, str] = dict(traits["goal"])
        self.told: list[str] = list(traits["revealed"])
        self.booking: dict[str, str] | None = None
        self.turns = 0
        self.on_topic = 0
        self.wasted = 0
        self.warned = False
        self.reply: str | None = None
        self.over = False
        self.in_book: bool = traits["in_book"]
        self._revealed: list[str] = list(traits["revealed"])
        self._wording: int = traits["wording"]
        self._patience: int | None = traits["patience"]
        self._changes: list[Mapping[str, Any]] = list(traits["changes"])
        self._one_at_a_time: bool = traits["one_at_a_time"]
        self._in_words: bool = traits["in_words"]

    @property
    def missing(self) -> list[str]:
        """The slots that the guest has not told yet, in the order of a booking."""
        return [slot for slot in SLOTS if slot not in self.told]

    @property
    def needed_turns(self) -> int:
        """The fewest turns in which all can be asked for, and booked."""
        unknown = len(SLOTS) - len(self._revealed)
        return 1 + (unknown if self._one_at_a_time else 1)

    @property
    def known(self) -> dict[str, str]:
        """The values told so far, as they hold now."""
        return {slot: self.goal[slot] for slot in SLOTS if slot in self.told}

    def hear(self, text: str) -> None:
        """Takes in a turn of the agent, and sets `reply`."""
        self.turns += 1
        self.reply = None
        if self.over:
            return
        self.booking = parse_booking(text)
        if self.booking is not None:
            self.on_topic += 1
            self.over = True
            return
        keywords = asked_slots(text)
        asked = [slot for slot in SLOTS if slot in keywords]
        new = [slot for slot in asked if slot not in self.told]
        again = [slot for slot in asked if slot in self.told]
        hasty = self.warned and len(new) > 1
        if new and not again and not hasty:
            self.on_topic += 1
            wasted = False
        else:
            self.wasted += 1
            wasted = True
        if self._patience is not None and self.wasted > self._patience:
            self.over = True
        else:
            self._answer(new, again, wasted)

    def _answer(self, new: list[str], again: list[str], wasted: bool) -> None:
        """Says what was asked for, what was told already, a change of mind, and a last warning."""
        number, words = self._wording + self.turns, self._in_words
        change = next((c for c in self._changes if self._is_due(c)), None)
        if change is not None and change["slot"] in again:
            again.remove(change["slot"])
        said = []
        if again:
            said.append(guest_lines.line("again", number, self._listed(again)))
        if self._one_at_a_time and len(new) > 1:
            new = new[:1]
            self.warned = True
            asked = guest_lines.capital(self._listed(new))
            said.append(guest_lines.line("one_at_a_time", number, asked))
        elif new:
            told_now = self._listed(new)
            terse = f"{guest_lines.capital(told_now)}."
            said.append(terse if self.wasted else guest_lines.line("answers", number, told_now))
        if change is not None:
            slot, old = change["slot"], self.goal[change["slot"]]
            said.append(guest_lines.change_text(slot, old, change["value"], number, words))
            self.goal[slot] = change["value"]
            self._changes.remove(change)
        if not said:
            # The first such turn may be a misunderstanding, so it gets a whole sentence.
            told, short = self.told, self.wasted > 1
            said.append(guest_lines.repeat_text(self.goal, told, number, short, words))
        if wasted and self.wasted == self._patience:
            said.append(guest_lines.line("last_chances", number))
        self.told += new
        self.reply = " ".join(said)

    def _is_due(self, change: Mapping[str, Any]) -> bool:
        return self.turns >= change["turn"] and change["slot"] in self.told

    def _listed(self, slots: Iterable[str]) -> str:
        return guest_lines.listed(self.goal, slots, self._in_words)


def follow(example: Example, said: Iterable[str]) -> Guest:
    """Returns the guest of an example after the agent's turns, in order."""
    guest = Guest(example)
    for text in said:
        guest.hear(text)
    return guest


def answered(transcript: tuple[Turn, ...]) -> list[str]:
    """Returns the agent's turns that the guest has replied to: all but a last one."""
    return [turn.text for turn in transcript[:-1] if turn.role == "assistant"]


def definite_slots(goal: Mapping[str, str]) -> list[str]:
    """Returns the slots of a goal that the guest cares about."""
    return [slot for slot in SLOTS if goal[slot] != ANY]
