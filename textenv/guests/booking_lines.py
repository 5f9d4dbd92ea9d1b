"""The booking of a table: its slots, and the lines that ask for them and that book.

They are recognised by keywords, as in a phone menu: whatever the sentence, a turn that says
"which area" asks for the area, and one that says "Booked:" books what follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from textenv.strict_yaml import load_yaml_file


@dataclass(frozen=True)
class _Slot:
    """One thing that a guest wants; see booking_lines.yaml."""

    values: tuple[str, ...]
    question: str
    booked: str
    keywords: str


_SLOTS = load_yaml_file(Path(__file__).with_suffix(".yaml"), dict[str, _Slot])

SLOTS = {name: slot.values for name, slot in _SLOTS.items()}
"""Every slot of a goal with its values, in the order in which a booking names them."""

ANY = "any"
"""The value of a slot that the guest does not care about; a booking leaves it out."""

QUESTIONS = {name: slot.question for name, slot in _SLOTS.items()}
"""The shortest question for each slot; `asked_slots` understands every one of them."""

_BOOKED_MARK = re.compile(r"\bbooked\s*:", re.IGNORECASE)
# "It is not booked: ..." says that nothing was.
_DENIED = re.compile(r"(?:\b(?:not|never|no|nothing|without)\b|n['’]t\b)[^.!?\n]*\Z", re.IGNORECASE)
_KEYWORDS = {
    name: re.compile(rf"\b({slot.keywords})\b", re.IGNORECASE) for name, slot in _SLOTS.items()
}
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(("two", "three", "four", "five", "six", "seven", "eight"), 2)
}
_NUMBER = rf"(\d+|{'|'.join(_NUMBERS)})"
_PEOPLE = re.compile(
    rf"\b{_NUMBER}\s+(?:people|persons|guests)\b|\b(?:for|party of)\s+{_NUMBER}\b"
    r"(?!\s*(?:[:.]\d|[ap]\.?m\b))"
)
_TIME = re.compile(r"\b(\d{1,2})(?:[:.](\d\d))?\s*([ap])\.?m\b")
_WORDS = {
    slot: re.compile(rf"\b({'|'.join(SLOTS[slot]).lower()})\b") for slot in ("food", "area", "day")
}
_CANONICAL = {value.lower(): value for slot in _WORDS for value in SLOTS[slot]}


def asked_slots(text: str) -> frozenset[str]:
    """Returns the slots that an agent's turn asks for, by its keywords ("which area", ...)."""
    return frozenset(slot for slot, pattern in _KEYWORDS.items() if pattern.search(text))


def parse_booking(text: str) -> dict[str, str] | None:
    """Reads the first booking of a text: what follows "Booked:", to the end or the next one.

    Case, the order of the slots and words between them do not matter. A slot that is not named is
    left out, and so is one that is named with several values: a hedge is no booking. Neither is
    what has more than twice the words that it needs, such as all that the guest has said: nothing
    is read of it. None if nothing was booked, or the sentence denies it.
    """
    start = _BOOKED_MARK.search(text)
    if start is None or _DENIED.search(text[: start.start()]):
        return None
    said = _BOOKED_MARK.split(text[start.end() :], maxsplit=1)[0].lower()
    said = said.replace("centre", "center")
    found = {
        slot: {_CANONICAL[word] for word in pattern.findall(said)}
        for slot, pattern in _WORDS.items()
    }
    counts = (first or second for first, second in _PEOPLE.findall(said))
    found["people"] = {_NUMBERS.get(count, count) for count in counts}
    found["time"] = {
        f"{int(hour)}{f':{minutes}' if minutes not in ('', '00') else ''} {half}m"
        for hour, minutes, half in _TIME.findall(said)
    }
    booking = {slot: next(iter(found[slot])) for slot in SLOTS if len(found[slot]) == 1}
    needed = len(booking_line(booking).split())
    return booking if len(said.split()) <= 2 * needed else {}


def question_line(slots: list[str]) -> str:
    """Spells one question for some slots, such as "Which area, which day and what time?"."""
    asked = [QUESTIONS[slot] for slot in slots]
    listed = " and ".join(filter(None, (", ".join(asked[:-1]), asked[-1])))
    return f"{listed[0].upper()}{listed[1:]}?"


def booking_line(goal: Mapping[str, str]) -> str:
    """Spells the booking of a goal, or of the part of it that is known.

    Example:
        "Booked: Italian food in the north for 4 people on Friday at 7 pm."
    """
    wanted = [slot for slot in SLOTS if goal.get(slot, ANY) != ANY]
    return f"Booked: {' '.join(_SLOTS[slot].booked.format(goal[slot]) for slot in wanted)}."
