"""Reads a guest from a dataset row, or says why it cannot be played."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textenv.errors import DatasetError
from textenv.examples import Example
from textenv.guests.booking_lines import ANY, SLOTS, booking_line
from textenv.guests.guest import definite_slots
from textenv.guests.guest_lines import REQUESTS, opening_text


def guest_example(id: str, row: Mapping[str, Any]) -> Example:
    """Builds the example of a row with a `goal`; a DatasetError says why no guest can be played."""
    goal = _goal(id, row["goal"])
    told = _revealed(id, goal, row.get("revealed"))
    wording = row.get("wording", 0)
    if not _whole(wording):
        raise DatasetError(
            f"The 'wording' of example '{id}' is {wording!r}; use an integer from 0 up."
        )
    opening = row.get("opening")
    if opening is not None and (not isinstance(opening, str) or not opening.strip()):
        raise DatasetError(f"The 'opening' of example '{id}' must be a text, not {opening!r}.")
    changes = _changes(id, goal, row.get("changes") or [])
    in_words = _flag(id, row, "in_words")
    if opening is None:
        opening = opening_text(REQUESTS[wording % len(REQUESTS)], goal, told, in_words)
    wanted = goal | {change["slot"]: change["value"] for change in changes}
    return Example(
        id=id,
        prompt=opening.strip(),
        references=(booking_line(wanted),),
        metadata={
            "goal": goal,
            "revealed": told,
            "wording": wording,
            "patience": _patience(id, row.get("patience")),
            "changes": changes,
            "one_at_a_time": _flag(id, row, "one_at_a_time"),
            "in_words": in_words,
            "in_book": _flag(id, row, "in_book"),
        },
    )


def _goal(id: str, given: object) -> dict[str, str]:
    if not isinstance(given, Mapping) or set(given) != set(SLOTS):
        raise DatasetError(f"The goal of example '{id}' must map each of {', '.join(SLOTS)}.")
    goal = {slot: str(given[slot]) for slot in SLOTS}
    for slot, value in goal.items():
        # "any number of people" is no booking.
        if value not in SLOTS[slot] and (value != ANY or slot == "people"):
            raise DatasetError(
                f"The goal of example '{id}' has {slot} = {value!r}, which is not one of "
                f"{', '.join(SLOTS[slot])}."
            )
    return goal


def _revealed(id: str, goal: Mapping[str, str], given: object) -> list[str]:
    told = list(given) if isinstance(given, list | tuple) else []
    if not 0 < len(set(told)) == len(told) < len(SLOTS) or not set(told) <= set(SLOTS):
        raise DatasetError(
            f"The 'revealed' of example '{id}' must list some, but not all, of {', '.join(SLOTS)}: "
            "the agent is to ask for the others."
        )
    definite = definite_slots(goal)
    if not set(told) <= set(definite) or len(told) == len(definite):
        raise DatasetError(
            f"The goal of example '{id}' has '{ANY}' in a slot that the opening tells, or in all "
            "of the others. Give at least one of the others a value."
        )
    return told


def _patience(id: str, given: object) -> int | None:
    if given is not None and not _whole(given):
        raise DatasetError(
            f"The 'patience' of example '{id}' is {given!r}; use a number of turns from 0 up, or "
            "leave it out for a guest who never leaves."
        )
    return given  # type: ignore[return-value] # checked just now


def _changes(id: str, goal: Mapping[str, str], given: object) -> list[dict[str, Any]]:
    if not isinstance(given, list | tuple):
        raise DatasetError(f"The 'changes' of example '{id}' must be a list, not {given!r}.")
    changes: list[dict[str, Any]] = []
    for change in given:
        if not isinstance(change, Mapping) or not {"slot", "value"} <= set(change):
            raise DatasetError(
                f"A change of example '{id}' is {change!r}; use {{'slot': ..., 'value': ...}}, and "
                "optionally 'turn', the agent's turn after which it is said at the earliest."
            )
        slot, value, turn = change["slot"], str(change["value"]), change.get("turn", 1)
        known = slot in SLOTS and goal[slot] != ANY and slot not in [c["slot"] for c in changes]
        if not known or value not in SLOTS[slot] or value == goal[slot]:
            raise DatasetError(
                f"A change of example '{id}' sets {slot!r} to {value!r}; it must give another "
                "value to a slot of the goal that has one, each slot at most once."
            )
        if not _whole(turn) or turn < 1:
            raise DatasetError(
                f"A change of example '{id}' is said after turn {turn!r}; use a number from 1 up."
            )
        changes.append({"slot": slot, "value": value, "turn": turn})
    return changes


def _flag(id: str, row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    if value is not None and not isinstance(value, bool):
        raise DatasetError(f"The '{name}' of example '{id}' is {value!r}; use true or false.")
    return bool(value)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
