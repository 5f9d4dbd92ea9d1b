"""The lines of a guest who calls a restaurant, in several phrasings each.

The slots are those of `textenv.guests.booking_lines`. "{}" is what is told, listed:
"Thai food, 4 people and Friday". Every line is chosen by a number, so that simulating a guest needs
no random numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from textenv.guests.booking_lines import ANY, SLOTS
from textenv.strict_yaml import load_yaml_file

_LINES = load_yaml_file(Path(__file__).with_name("guest_lines.yaml"), dict[str, tuple[str, ...]])

REQUESTS = _LINES["requests"]
GREETINGS = _LINES["greetings"]
REASONS = _LINES["reasons"]
PEOPLE = _LINES["people"]
RETURNS = _LINES["returns"]


def opening_text(
    template: str, goal: Mapping[str, str], told: Sequence[str], in_words: bool
) -> str:
    """Fills one of the REQUESTS, or of the repeats, with the `told` slots in their order."""
    prefixes = {"area": "in ", "people": "for ", "day": "on ", "time": "at "}
    definite = [slot for slot in told if goal[slot] != ANY]
    said = {slot: say_value(slot, goal[slot], in_words) for slot in definite}
    table = f"a table for {said['food']}" if "food" in said else "a table"
    details = " ".join(prefixes[slot] + said[slot] for slot in definite if slot in prefixes)
    # If the table is all there is to say, no space is left where the details would stand.
    words = template.format(table=table, details=details).split()
    return " ".join(words).replace(" .", ".").replace(" ?", "?")


def say_value(slot: str, value: str, in_words: bool) -> str:
    """Says the value of a slot; `in_words`, numbers are spelled out.

    Example:
        "half past seven in the evening" for the time "7:30 pm", else "7:30 pm".
    """
    if value == ANY:
        return f"any {slot}"
    if slot == "people":
        return f"{_number_word(value) if in_words else value} people"
    if slot == "time" and in_words:
        hour, _, minutes = value.removesuffix(" pm").partition(":")
        part = "" if hour == "12" else f" in the {'afternoon' if int(hour) < 6 else 'evening'}"
        return f"{'half past ' if minutes else ''}{_number_word(hour)}{part}"
    return {"food": f"{value} food", "area": f"the {value}"}.get(slot, value)


def listed(goal: Mapping[str, str], slots: Iterable[str], in_words: bool) -> str:
    """Lists the values of some slots: "Thai food, the north and Friday"."""
    wanted = set(slots)
    said = [say_value(slot, goal[slot], in_words) for slot in SLOTS if slot in wanted]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def line(kind: str, number: int, said: str = "") -> str:
    """Tells something in one of the lines of a kind in guest_lines.yaml, such as "answers"."""
    return capital(_choose(kind, number).format(said))


def repeat_text(
    goal: Mapping[str, str], told: Sequence[str], number: int, terse: bool, in_words: bool
) -> str:
    """Says what the guest wants, to an agent that neither asked for it nor booked."""
    if terse:
        said = listed(goal, told, in_words)
        return line("terse_repeats", number, capital(said))
    return opening_text(_choose("repeats", number), goal, told, in_words)


def change_text(slot: str, old: str, new: str, number: int, in_words: bool) -> str:
    """Takes back the value of a slot for a new one."""
    said = say_value(slot, old, in_words).removesuffix(" people")
    return _choose("changes", number).format(old=said, new=say_value(slot, new, in_words))


def _number_word(number: str) -> str:
    return _LINES["numbers"][int(number) - 1]


def _choose(name: str, number: int) -> str:
    return _LINES[name][number % len(_LINES[name])]


def capital(text: str) -> str:
    """Returns a text with its first letter in upper case."""
    return text[0].upper() + text[1:]
