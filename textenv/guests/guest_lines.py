"""The lines of a guest who calls a restaurant, in several phrasings each.

The slots are those of `textenv.guests.booking_lines`. "{}" is what is told, listed:
"Thai food, 4 people and Friday". Every line is chosen by a number, so that simulating a guest needs
no random numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from textenv.guests.booking_lines import ANY, SLOTS

# "{table}" is "a table for Thai food" or "a table", "{details}" the rest of what is told.
REQUESTS = (
    "I would like to book {table} {details}.",
    "Can you book {table} {details}?",
    "I am looking for {table} {details}.",
    "Please find me {table} {details}.",
    "We need {table} {details}.",
    "Could you reserve {table} {details} for us?",
    "I want {table} {details}.",
    "My friends and I would like {table} {details}.",
    "Is it possible to have {table} {details}?",
    "Do you have {table} {details}?",
    "I hope to get {table} {details}.",
    "We are thinking of {table} {details}.",
)
GREETINGS = (
    "Hello, this is {name}.",
    "Hi, {name} here.",
    "Good morning, my name is {name}.",
    "Good evening. My name is {name}.",
    "Hello! You are speaking to {name}.",
    "Hi there, I am {name}.",
    "Good afternoon, {name} speaking.",
    "Hello, {name} is my name.",
)
REASONS = (
    "It is the birthday of my {who}.",
    "My {who} is visiting us.",
    "My {who} has a new job.",
    "I want to say thank you to my {who}.",
    "My {who} has passed a test.",
    "My {who} is back from a long trip.",
    "We are going to see a play with my {who}.",
    "I have lost a bet with my {who}.",
    "My {who} told me about you.",
    "It is a surprise for my {who}.",
    "My {who} is getting married.",
    "I am to meet my {who} in town.",
)
PEOPLE = tuple(
    str.split(
        "mother father sister brother daughter son aunt uncle cousin neighbor teacher boss friend "
        "doctor nephew niece grandmother grandfather colleague roommate student trainer"
    )
)

_ANSWERS = (
    "{}, please.",
    "{}, thank you.",
    "Let me see, {}.",
    "Sure, {}.",
    "I would say {}.",
    "Of course, {}.",
    "Oh, {}.",
    "Well, {}.",
)
_AGAIN = (
    "I already told you: {}.",
    "As I said: {}.",
    "I have said that before: {}.",
    "Once more: {}.",
)
_REPEATS = (
    "Sorry, I do not understand. I need {table} {details}.",
    "I am not sure what you mean. We want {table} {details}.",
    "Pardon? I asked for {table} {details}.",
    "What do you mean? I want to book {table} {details}.",
)
_TERSE_REPEATS = (
    "That does not help me. {}.",
    "Are you listening? {}.",
    "I do not follow. {}.",
)
_ONE_AT_A_TIME = (
    "One thing at a time, please. {}.",
    "Not so fast, one after the other. {}.",
    "Please ask me one thing at a time. {}.",
)
_CHANGES = (
    "Actually, make it {new} instead of {old}.",
    "Sorry, I have changed my mind: {new} instead of {old}.",
    "Wait, {new} would be better than {old}.",
    "Oh, and I said {old} before, but I want {new}.",
)
_LAST_CHANCES = (
    "Please hurry.",
    "I do not have all day.",
    "I am about to hang up.",
)

_NUMBERS = dict(zip(SLOTS["people"], str.split("two three four five six seven eight"), strict=True))
_HOURS = str.split("one two three four five six seven eight nine ten eleven twelve")


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
        return f"{_NUMBERS[value] if in_words else value} people"
    if slot == "time" and in_words:
        hour, _, minutes = value.removesuffix(" pm").partition(":")
        part = "" if hour == "12" else f" in the {'afternoon' if int(hour) < 6 else 'evening'}"
        return f"{'half past ' if minutes else ''}{_HOURS[int(hour) - 1]}{part}"
    return {"food": f"{value} food", "area": f"the {value}"}.get(slot, value)


def listed(goal: Mapping[str, str], slots: Iterable[str], in_words: bool) -> str:
    """Lists the values of some slots: "Thai food, the north and Friday"."""
    wanted = set(slots)
    said = [say_value(slot, goal[slot], in_words) for slot in SLOTS if slot in wanted]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def answer_text(said: str, number: int, terse: bool) -> str:
    """Answers a question; tersely, with nothing but what was asked for."""
    return _sentence("{}." if terse else _choose(_ANSWERS, number), said)


def again_text(said: str, number: int) -> str:
    """Tells again what was told before, and that it was."""
    return _sentence(_choose(_AGAIN, number), said)


def one_at_a_time_text(said: str, number: int) -> str:
    """Answers a part of a question, and asks for the others one by one."""
    return _sentence(_choose(_ONE_AT_A_TIME, number), said[0].upper() + said[1:])


def repeat_text(
    goal: Mapping[str, str], told: Sequence[str], number: int, terse: bool, in_words: bool
) -> str:
    """Says what the guest wants, to an agent that neither asked for it nor booked."""
    if terse:
        said = listed(goal, told, in_words)
        return _sentence(_choose(_TERSE_REPEATS, number), said[0].upper() + said[1:])
    return opening_text(_choose(_REPEATS, number), goal, told, in_words)


def change_text(slot: str, old: str, new: str, number: int, in_words: bool) -> str:
    """Takes back the value of a slot for a new one."""
    said = say_value(slot, old, in_words).removesuffix(" people")
    return _choose(_CHANGES, number).format(old=said, new=say_value(slot, new, in_words))


def last_chance_text(number: int) -> str:
    """Warns that the guest is about to leave."""
    return _choose(_LAST_CHANCES, number)


def _choose(choices: Sequence[str], number: int) -> str:
    return choices[number % len(choices)]


def _sentence(template: str, said: str) -> str:
    line = template.format(said)
    return line[0].upper() + line[1:]
