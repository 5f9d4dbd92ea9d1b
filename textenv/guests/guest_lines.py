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


def answer_text(said: str, number: int, terse: bool) -> str:
    """Answers a question; tersely, with nothing but what was asked for."""
    return _sentence("{}." if terse else _choose("answers", number), said)


def again_text(said: str, number: int) -> str:
    """Tells again what was told before, and that it was."""
    return _sentence(_choose("again", number), said)


def one_at_a_time_text(said: str, number: int) -> str:
    """Answers a part of a question, and asks for the others one by one."""
    return _sentence(_choose("one_at_a_time", number), said[0].upper() + said[1:])


def repeat_text(
    goal: Mapping[str, str], told: Sequence[str], number: int, terse: bool, in_words: bool
) -> str:
    """Says what the guest wants, to an agent that neither asked for it nor booked."""
    if terse:
        said = listed(goal, told, in_words)
        return _sentence(_choose("terse_repeats", number), said[0].upper() + said[1:])
    return opening_text(_choose("repeats", number), goal, told, in_words)


def change_text(slot: str, old: str, new: str, number: int, in_words: bool) -> str:
    """Takes back the value of a slot for a new one."""
    said = say_value(slot, old, in_words).removesuffix(" people")
    return _choose("changes", number).format(old=said, new=say_value(slot, new, in_words))


def last_chance_text(number: int) -> str:
    """Warns that the guest is about to leave."""
    return _choose("last_chances", number)


def _number_word(number: str) -> str:
    return _LINES["numbers"][int(number) - 1]


def _choose(name: str, number: int) -> str:
    return _LINES[name][number % len(_LINES[name])]


def _sentence(template: str, said: str) -> str:
    line = template.format(said)
    return line[0].upper() + line[1:]
