"""The generated set "replies": a phone call to a service so far, and replies to choose from.

The caller wants something booked and tells a part of it at a time. The right reply takes up what
was said last and asks for something missing, or books once all is told. The wrong ones are hard:
every detail in which a wrong reply differs from the right one is in a pair of candidates, once
right and once wrong, and so is the choice between asking and booking. So candidates alone, without
the call, do not tell which is right, not even as the one that most others resemble. Nor do the
words that a candidate shares with the call: what is wrong was said, too, as a value that is out of
the question, or that the caller has taken back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
_EXCLUSIONS = _LINES["exclusions"]
_CHOICES = _LINES["choices"]
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
    second: ServiceSlot  # another one, told or not
    # Values by slot that are out of the question: of both of these slots, as far as they were told.
    excluded: dict[str, str]

    @property
    def missing(self) -> list[ServiceSlot]:
        return [slot for slot in self.service.slots if slot not in self.told]


class RepliesGenerator(GradedGenerator):
    """Draws calls with eight candidate replies, as rows of `DialogueSelectTask`.

    The right reply comes first and the hardest wrong ones next, so that a task may take the first
    few; it is the task that shuffles them.

    Attributes:
        difficulty: "easy": the first four replies all ask, or all book, as the right one does, and
            no caller corrects themselves. "medium": half of the replies ask and half book, and a
            quarter of the callers correct themselves. "hard": three quarters do, and wrong replies
            keep to what they said before.
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a row; its content is the call, so no call lies in two splits."""
        picker = Picker(rng)
        service = picker.pick(SERVICES)
        complete = picker.below(2) == 0
        call = _draw_call(picker, service, complete, _CORRECTED[self.difficulty])
        context = [
            {"role": "assistant" if i % 2 else "user", "content": text}
            for i, text in enumerate(call.turns)
        ]
        return "\n".join(call.turns), {
            "context": context,
            "candidates": _product(picker, call, own_kind_first=self.difficulty == "easy"),
            "label": 0,
        }


def _draw_call(picker: Picker, service: Service, complete: bool, corrected: int) -> _Call:
    goal = {slot.name: picker.pick(slot.values) for slot in service.slots}
    order = picker.distinct(service.slots, len(service.slots))
    n_opening, n_asked = picker.pick(_COMPLETE if complete else _INCOMPLETE)
    told = list(order[: n_opening + n_asked])
    # What the agent has just asked for is answered, and something from before may be corrected.
    is_corrected = picker.below(100) < corrected
    last = picker.pick(tuple(told[:-1])) if is_corrected else told[-1]
    second = picker.pick(tuple(slot for slot in service.slots if slot is not last))
    details = (last, second) if second in told else (last,)
    excluded = {slot.name: _other(picker, slot.values, goal[slot.name]) for slot in details}
    said = goal | {last.name: excluded[last.name]} if is_corrected else goal
    spoken = {name: value for name, value in excluded.items() if said[name] != value}
    turns = [_opening(picker, service, said, told[:n_opening], spoken)]
    for before, slot in pairwise(told[n_opening - 1 :]):
        turns.append(f"{_noted(picker, before, said)} {slot.question}")
        turns.append(_answer(picker, slot, said, spoken))
    if is_corrected:
        new, old = (last.say(values[last.name]) for values in (goal, excluded))
        turns[-1] += f" {picker.pick(_CORRECTIONS).format(new=new, old=old)}"
    return _Call(service, goal, told, turns, last, second, excluded)


def _opening(
    picker: Picker,
    service: Service,
    said: Mapping[str, str],
    told: Sequence[ServiceSlot],
    excluded: Mapping[str, str],
) -> str:
    """Says the caller's first turn: some slots, and what is out of the question for them."""
    name = f"{picker.pick(FIRST_NAMES)} {picker.pick(LAST_NAMES)}"
    lines = [
        picker.pick(GREETINGS).format(name=name),
        picker.pick(_REQUESTS).format(_details(service, said, told)),
        *(
            picker.pick(_EXCLUSIONS).format(old=slot.say(excluded[slot.name]))
            for slot in told
            if slot.name in excluded
        ),
    ]
    return " ".join(lines)


def _answer(
    picker: Picker, slot: ServiceSlot, said: Mapping[str, str], excluded: Mapping[str, str]
) -> str:
    """Says the caller's answer to a question."""
    new = slot.say(said[slot.name])
    if slot.name not in excluded:
        return _sentence(picker.pick(_ANSWERS).format(new))
    old = slot.say(excluded[slot.name])
    return _sentence(picker.pick(_CHOICES).format(new=new, old=old))


def _product(picker: Picker, call: _Call, own_kind_first: bool) -> list[str]:
    """Draws the eight replies of two details, each right or wrong, for asking and for booking.

    A question differs in the value that it takes up and in what it asks for; a booking in that same
    value, with the same alternative, and in another one. The right reply comes first, then the one
    that differs in the first detail, the two of the other kind that differ in it, and the four of
    which the second detail is wrong, too; or all of the right one's kind before those of the other.
    Which detail comes first is drawn.
    """
    goal, last, second = call.goal, call.last, call.second
    wrong_value = call.excluded[last.name]
    second_wrong = call.excluded.get(second.name) or _other(
        picker, second.values, goal[second.name]
    )
    askable = [slot for slot in call.told if slot is not last]
    missing = call.missing
    asked = [*picker.distinct(tuple(missing), min(1, len(missing)))]
    asked += picker.distinct(tuple(askable), 2 - len(asked))
    noted, booked = picker.pick(_NOTED), picker.pick(_BOOKED)

    def ask(value_wrong: bool, question_wrong: bool) -> str:
        value = wrong_value if value_wrong else goal[last.name]
        return f"{_sentence(noted.format(last.say(value)))} {asked[question_wrong].question}"

    def book(value_wrong: bool, second_is_wrong: bool) -> str:
        values = dict(goal)
        if value_wrong:
            values[last.name] = wrong_value
        if second_is_wrong:
            values[second.name] = second_wrong
        return booked.format(_details(call.service, values, call.service.slots))

    own, other = (ask, book) if missing else (book, ask)
    swap = picker.below(2) == 0
    kinds = ((own,), (other,)) if own_kind_first else ((own, other),)
    return [
        make(*((b, a) if swap else (a, b)))
        for together in kinds
        for b in (False, True)
        for make in together
        for a in (False, True)
    ]


def _details(service: Service, goal: Mapping[str, str], slots: Sequence[ServiceSlot]) -> str:
    said = [slot.say(goal[slot.name]) for slot in service.slots if slot in slots]
    return " ".join((service.thing, *said))


def _noted(picker: Picker, slot: ServiceSlot, goal: Mapping[str, str]) -> str:
    return _sentence(picker.pick(_NOTED).format(slot.say(goal[slot.name])))


def _other(picker: Picker, values: tuple[str, ...], value: str) -> str:
    """Draws a value other than the given one."""
    place = values.index(value)
    return values[(place + 1 + picker.below(len(values) - 1)) % len(values)]


def _sentence(line: str) -> str:
    return line[0].upper() + line[1:]
