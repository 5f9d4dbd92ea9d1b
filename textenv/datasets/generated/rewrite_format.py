"""Facts in prose, and the same facts as JSON, CSV, a numbered list, or an ISO date."""

from __future__ import annotations

import json
from typing import Any

from textenv.datasets.generated.grammar import listed, with_article
from textenv.datasets.generated.procedural import Picker
from textenv.datasets.generated.record_kinds import KINDS, PERSON, Kind
from textenv.datasets.generated.words import FIRST_NAMES, LAST_NAMES, MONTHS, TOWNS, split_words

_N_VALUES = (2, 3, 5)
_THINGS = split_words(
    "map lantern rope tent knife blanket bottle candle hammer kettle pan spoon towel torch radio "
    "compass bucket shovel ladder basket pillow mirror whistle notebook"
)
_LISTS = (
    "For the trip to {town}, {name} needs {things}.",
    "{name} went to {town} and bought {things}.",
    "In the house in {town}, {name} found {things}.",
    "{name} lent a friend from {town} {things}.",
    "Please send {things} to {name} in {town}.",
)
_EVENTS = (
    "{name} was born in {town} on {date}.",
    "On {date}, {name} moved to {town}.",
    "{name} opened a shop in {town} on {date}.",
    "The bridge of {town} was built by {name} and opened on {date}.",
    "On {date}, a letter from {name} reached {town}.",
)
_ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}


def draw_format(picker: Picker, level: int) -> dict[str, Any]:
    """Draws facts to be formatted, and three wrong ways of doing it.

    Returns:
        "source", "target", "constraints" and "wrong": a value left out, a value changed, and a
        broken format.
    """
    draw = picker.pick((_draw_json, _draw_json, _draw_csv, _draw_list, _draw_date))
    return draw(picker, _N_VALUES[level])


def _record(kind: Kind, names: tuple[str, ...], picker: Picker) -> tuple[dict[str, str], str]:
    """Draws a record with the given slots: their values, and the text that tells them."""
    slots = kind.draw_subject(picker)
    slots |= {name: picker.pick(kind.values[name]) for name in names}
    said = listed([kind.predicate(name, slots[name], picker.below(2)) for name in names])
    return slots, f"{kind.subject(slots)} {said}."


def _told_by_value(kind: Kind) -> tuple[str, ...]:
    return tuple(name for name in kind.predicates if not isinstance(kind.predicates[name], dict))


def _draw_json(picker: Picker, n: int) -> dict[str, Any]:
    kind = picker.pick(KINDS)
    names = picker.distinct(_told_by_value(kind), n)
    slots, source = _record(kind, names, picker)
    values = {name: slots[name] for name in picker.distinct(tuple(slots), len(slots))}
    changed = picker.pick(names)
    others = tuple(value for value in kind.values[changed] if value != slots[changed])
    fewer = {name: value for name, value in values.items() if name != changed}
    right = json.dumps(values)
    return {
        "source": source,
        "target": right,
        "constraints": ({"check": "json", "values": values},),
        "wrong": (
            json.dumps(fewer),
            json.dumps({**values, changed: picker.pick(others)}),
            right[:-1] if picker.below(2) else right.replace('": ', '" '),
        ),
    }


def _draw_csv(picker: Picker, n: int) -> dict[str, Any]:
    names = picker.distinct(_told_by_value(PERSON), max(2, n - 1))
    records, texts = zip(*(_record(PERSON, names, picker) for _ in range(2)), strict=True)
    header = ["name", *names]
    rows = [header, *([record[name] for name in header] for record in records)]
    changed = picker.pick(names)
    others = tuple(value for value in PERSON.values[changed] if value != records[0][changed])
    k = header.index(changed)
    fewer = [row[:k] + row[k + 1 :] for row in rows]
    other = [rows[0], [*rows[1][:k], picker.pick(others), *rows[1][k + 1 :]], rows[2]]
    return {
        "source": " ".join(texts),
        "target": _lines(rows, ","),
        "constraints": ({"check": "csv", "rows": rows},),
        "wrong": (_lines(fewer, ","), _lines(other, ","), _lines(rows, " | ")),
    }


def _lines(rows: list[list[str]], mark: str) -> str:
    return "\n".join(mark.join(row) for row in rows)


def _draw_list(picker: Picker, n: int) -> dict[str, Any]:
    *things, other = (with_article(thing) for thing in picker.distinct(_THINGS, n + 2))
    source = picker.pick(_LISTS).format(
        town=picker.pick(TOWNS),
        name=f"{picker.pick(FIRST_NAMES)} {picker.pick(LAST_NAMES)}",
        things=listed(things),
    )
    k = picker.below(len(things))
    return {
        "source": source,
        "target": _numbered(things),
        "constraints": ({"check": "numbered_list", "items": things},),
        "wrong": (
            _numbered(things[:k] + things[k + 1 :]),
            _numbered([*things[:k], other, *things[k + 1 :]]),
            "\n".join(f"- {thing}" for thing in things),
        ),
    }


def _numbered(items: list[str]) -> str:
    return "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))


def _draw_date(picker: Picker, n: int) -> dict[str, Any]:
    year, month, day = 1900 + picker.below(125), 1 + picker.below(12), 13 + picker.below(16)
    name = MONTHS[month - 1]
    date = picker.pick(
        (
            f"{name} {day}, {year}",
            f"{day} {name} {year}",
            f"the {day}{_ORDINALS.get(day, 'th')} of {name} {year}",
        )
    )
    source = picker.pick(_EVENTS).format(
        name=f"{picker.pick(FIRST_NAMES)} {picker.pick(LAST_NAMES)}",
        town=picker.pick(TOWNS),
        date=date,
    )
    right = f"{year}-{month:02}-{day:02}"
    return {
        "source": source,
        "target": right,
        "constraints": ({"check": "iso_date", "value": right},),
        "wrong": (
            f"{year}-{month:02}",
            f"{year}-{month % 12 + 1:02}-{day:02}",
            f"{day:02}-{month:02}-{year}",
        ),
    }
