"""The booking of a table: its slots, and the lines that ask for them and that book.

They are recognised by keywords, as in a phone menu: whatever the sentence, a turn that says
"which area" asks for the area, and one that says "Booked:" books what follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SLOTS: dict[str, tuple[str, ...]] = {
    "food": tuple(
        str.split(
            "American Chinese French Greek Indian Italian Japanese Korean Mexican Spanish Thai "
            "Turkish"
        )
    ),
    "area": ("north", "south", "east", "west", "center", "old town", "suburbs", "village"),
    "people": ("2", "3", "4", "5", "6", "7", "8"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "time": tuple(f"{hour} pm" for hour in str.split("12:30 1 1:30 2 6 6:30 7 7:30 8 8:30 9 9:30")),
}
"""Every slot of a goal with its values, in the order in which a booking names them."""

ANY = "any"
"""The value of a slot that the guest does not care about; a booking leaves it out."""

QUESTIONS = {
    "food": "what food",
    "area": "which area",
    "people": "how many people",
    "day": "which day",
    "time": "what time",
}
"""The shortest question for each slot; `asked_slots` understands every one of them."""

_BOOKED = {
    "food": "{} food",
    "area": "in the {}",
    "people": "for {} people",
    "day": "on {}",
    "time": "at {}",
}
_BOOKED_MARK = re.compile(r"\bbooked\s*:", re.IGNORECASE)
_KEYWORDS = {
    "food": re.compile(r"\b(food|cuisine)\b", re.IGNORECASE),
    "area": re.compile(r"\b(area|where|part of town)\b", re.IGNORECASE),
    "people": re.compile(r"\b(how many|people|guests)\b", re.IGNORECASE),
    "day": re.compile(r"\b(day|date|when)\b", re.IGNORECASE),
    "time": re.compile(r"\b(time|hour|when)\b", re.IGNORECASE),
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
    left out, and so is one that is named with several values: a hedge is no booking. None if
    nothing was booked.
    """
    start = _BOOKED_MARK.search(text)
    if start is None:
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
    return {slot: next(iter(found[slot])) for slot in SLOTS if len(found[slot]) == 1}


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
    return f"Booked: {' '.join(_BOOKED[slot].format(goal[slot]) for slot in wanted)}."
