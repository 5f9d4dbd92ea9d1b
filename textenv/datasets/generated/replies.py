"""The generated set "replies": a phone call to a service so far, and replies to choose from.

The caller wants something booked and tells a part of it at a time. The right reply takes up what
was said last and asks for something missing, or books once all is told. The wrong ones are hard:
every detail in which a wrong reply differs from the right one is in a pair of candidates, once
right and once wrong, and so is the choice between asking and booking. So candidates alone, without
the call, do not tell which is right, not even as the one that most others resemble.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.generated.procedural import GradedGenerator, Picker
from textenv.datasets.generated.services import SERVICES, Service, ServiceSlot
from textenv.datasets.generated.tables import load_table
from textenv.datasets.generated.words import FIRST_NAMES, LAST_NAMES
from textenv.guests.guest_lines import GREETINGS

_LINES = load_table("replies", dict[str, tuple[str, ...]])
_REQUESTS = _LINES["requests"]
_ANSWERS = _LINES["answers"]
_CORRECTIONS = _LINES["corrections"]
_NOTED = _LINES["noted"]
_BOOKED = _LINES["booked"]
# Chance of a correction in the caller's last turn, in percent.
_CORRECTED = {"easy": 0, "medium": 25, "hard": 75}
# How many slots the opening tells, and how many the caller is asked for, of five.
_COMPLETE = ((2, 3), (3, 2), (3, 2))
_INCOMPLETE = ((1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 1))


@dataclass(frozen=True)
class _Call:
    """A call up to the caller's last turn."""

    service: Service
    goal: dict[str, str]  # a value for each slot; those that were not told are made up
    told: list[ServiceSlot]  # in order
    turns: list[str]  # of the caller and the agent in turn
    last: ServiceSlot  # the one that the caller told or corrected last
    old: str | None  # its value before the correction, if there was one

    @property
    def missing(self) -> list[ServiceSlot]:
        return [slot for slot in self.service.slots if slot not in self.told]


class RepliesGenerator(GradedGenerator):
    """Draws calls with eight candidate replies, as rows of `DialogueSelectTask`.

    The right reply comes first and the hardest wrong ones next, so that a task may take the first
    few; it is the task that shuffles them.

    Attributes:
        difficulty: "easy": the wrong replies belong to calls of other services. "medium": they
            belong to this call, and a quarter of the callers correct themselves. "hard": three
            quarters do, and wrong replies keep to what they said before.
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a row; its content is the call, so no call lies in two splits."""
        picker = Picker(rng)
        service = picker.pick(SERVICES)
        complete = picker.below(2) == 0
        call = _draw_call(picker, service, complete, _CORRECTED[self.difficulty])
        if self.difficulty == "easy":
            right = _own_reply(picker, call)
            wrong = _replies_of_others(picker, call)
        else:
            right, *wrong = _product(picker, call)
        context = [
            {"role": "assistant" if i % 2 else "user", "content": text}
            for i, text in enumerate(call.turns)
        ]
        return "\n".join(call.turns), {
            "context": context,
            "candidates": [right, *wrong],
            "label": 0,
        }


def _draw_call(picker: Picker, service: Service, complete: bool, corrected: int) -> _Call:
    goal = {slot.name: picker.pick(slot.values) for slot in service.slots}
    order = picker.distinct(service.slots, len(service.slots))
    n_opening, n_asked = picker.pick(_COMPLETE if complete else _INCOMPLETE)
    told = list(order[:n_opening])
    name = f"{picker.pick(FIRST_NAMES)} {picker.pick(LAST_NAMES)}"
    request = picker.pick(_REQUESTS).format(_details(service, goal, told))
    turns = [f"{picker.pick(GREETINGS).format(name=name)} {request}"]
    last = told[-1]
    for slot in order[n_opening : n_opening + n_asked]:
        turns.append(f"{_noted(picker, last, goal)} {slot.question}")
        turns.append(_sentence(picker.pick(_ANSWERS), slot.say(goal[slot.name])))
        told.append(slot)
        last = slot
    old = None
    if picker.below(100) < corrected:
        # What the agent has just asked for is answered, and something from before corrected.
        last = picker.pick(tuple(told[:-1]))
        old = goal[last.name]
        goal[last.name] = _other(picker, last.values, old)
        said = picker.pick(_CORRECTIONS).format(new=last.say(goal[last.name]), old=last.say(old))
        turns[-1] += f" {said}"
    return _Call(service, goal, told, turns, last, old)


def _product(picker: Picker, call: _Call) -> list[str]:
    """Draws the eight replies of two details, each right or wrong, for asking and for booking.

    A question differs in the value that it takes up and in what it asks for; a booking in that same
    value, with the same alternative, and in another one. The right reply comes first, then the one
    that differs in the first detail, the two of the other kind that differ in it, and the four of
    which the second detail is wrong, too. Which detail comes first is drawn.
    """
    goal, last = call.goal, call.last
    wrong_value = call.old or _other(picker, last.values, goal[last.name])
    others = [slot for slot in call.service.slots if slot is not last]
    second = picker.pick(tuple(others))
    second_wrong = _other(picker, second.values, goal[second.name])
    askable = [slot for slot in others if slot in call.told]
    missing = call.missing
    asked = [*picker.distinct(tuple(missing), min(1, len(missing)))]
    asked += picker.distinct(tuple(askable), 2 - len(asked))
    noted, booked = picker.pick(_NOTED), picker.pick(_BOOKED)

    def ask(value_wrong: bool, question_wrong: bool) -> str:
        value = wrong_value if value_wrong else goal[last.name]
        return f"{_sentence(noted, last.say(value))} {asked[question_wrong].question}"

    def book(value_wrong: bool, second_is_wrong: bool) -> str:
        values = dict(goal)
        if value_wrong:
            values[last.name] = wrong_value
        if second_is_wrong:
            values[second.name] = second_wrong
        return booked.format(_details(call.service, values, call.service.slots))

    own, other = (ask, book) if missing else (book, ask)
    swap = picker.below(2) == 0
    return [
        make(*((b, a) if swap else (a, b)))
        for b in (False, True)
        for make in (own, other)
        for a in (False, True)
    ]


def _own_reply(picker: Picker, call: _Call) -> str:
    if call.missing:
        slot = picker.pick(tuple(call.missing))
        return f"{_noted(picker, call.last, call.goal)} {slot.question}"
    return picker.pick(_BOOKED).format(_details(call.service, call.goal, call.service.slots))


def _replies_of_others(picker: Picker, call: _Call) -> list[str]:
    """Draws a reply of each of the other services, to something that this caller never said."""
    said = {slot.say(call.goal[slot.name]) for slot in call.service.slots}
    services = tuple(service for service in SERVICES if service is not call.service)
    replies = []
    for service in picker.distinct(services, len(services)):
        if picker.below(2):
            goal = {slot.name: picker.pick(slot.values) for slot in service.slots}
            replies.append(picker.pick(_BOOKED).format(_details(service, goal, service.slots)))
            continue
        asked, last = picker.distinct(service.slots, 2)
        value = picker.pick(last.values)
        if last.say(value) in said:
            value = _other(picker, last.values, value)
        replies.append(
            f"{_sentence(picker.pick(_LINES['noted']), last.say(value))} {asked.question}"
        )
    return replies


def _details(service: Service, goal: Mapping[str, str], slots: Sequence[ServiceSlot]) -> str:
    said = [slot.say(goal[slot.name]) for slot in service.slots if slot in slots]
    return " ".join((service.thing, *said))


def _noted(picker: Picker, slot: ServiceSlot, goal: Mapping[str, str]) -> str:
    return _sentence(picker.pick(_NOTED), slot.say(goal[slot.name]))


def _other(picker: Picker, values: tuple[str, ...], value: str) -> str:
    """Draws a value other than the given one."""
    place = values.index(value)
    return values[(place + 1 + picker.below(len(values) - 1)) % len(values)]


def _sentence(template: str, said: str) -> str:
    line = template.format(said)
    return line[0].upper() + line[1:]
