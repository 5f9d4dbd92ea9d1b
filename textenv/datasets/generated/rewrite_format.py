"""Facts in prose, and the same facts as JSON, CSV, a numbered list, or an ISO date.

The wrong candidates have a broken format, other facts, or both, so that none of the four looks more
like the others than the right one does. What breaks a format makes the text longer as often as
shorter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from textenv.datasets.generated.grammar import listed, with_article
from textenv.datasets.generated.procedural import Picker
from textenv.datasets.generated.record_kinds import KINDS, PERSON, Kind
from textenv.datasets.generated.tables import load_table
from textenv.datasets.generated.words import FIRST_NAMES, LAST_NAMES, MONTHS, TOWNS

_N_VALUES = (2, 3, 5)
_TABLES = load_table("rewrite_format", dict[str, tuple[str, ...]])
_ISO = "{y}-{m:02}-{d:02}"
_NO_DATE = ("{d:02}-{m:02}-{y}", "{m:02}-{d:02}-{y}", "{y}/{m:02}/{d:02}", "{d:02}.{m:02}.{y}")
_ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}


def draw_format(picker: Picker, level: int) -> dict[str, Any]:
    """Draws facts to be formatted, and three wrong ways of doing it."""
    draw = picker.pick((_draw_json, _draw_json, _draw_csv, _draw_list, _draw_date))
    return draw(picker, _N_VALUES[level])


def _records(
    kind: Kind, names: tuple[str, ...], picker: Picker
) -> tuple[dict[str, str], dict[str, str], str]:
    """Draws a record with some slots, another that differs in each, and the text of the first."""
    subject = kind.draw_subject(picker)
    pairs = {name: picker.distinct(kind.values[name], 2) for name in names}
    slots, other = ({**subject, **{name: pairs[name][i] for name in names}} for i in (0, 1))
    said = listed([kind.predicate(name, slots[name], picker.below(2)) for name in names])
    return slots, other, f"{kind.subject(slots)} {said}."


def _told_by_value(kind: Kind) -> tuple[str, ...]:
    return tuple(name for name in kind.predicates if not isinstance(kind.predicates[name], dict))


def _draw_json(picker: Picker, n: int) -> dict[str, Any]:
    kind = picker.pick(KINDS)
    names = picker.distinct(_told_by_value(kind), n)
    slots, other, source = _records(kind, names, picker)
    order = picker.distinct(tuple(slots), len(slots))
    values, changed = ({name: one[name] for name in order} for one in (slots, other))
    broken = picker.pick(_NO_JSON)
    return {
        "source": source,
        "target": json.dumps(values),
        "constraints": ({"check": "json", "values": values},),
        "wrong": (broken(values), json.dumps(changed), broken(changed)),
    }


_Values = dict[str, str]
# Two shorter than the object, two longer.
_NO_JSON: tuple[Callable[[_Values], str], ...] = (
    lambda values: json.dumps(values)[:-1],
    lambda values: json.dumps(values).replace('": "', '" "'),
    lambda values: f"{json.dumps(values)[:-1]},}}",
    lambda values: json.dumps(list(values.items())),
)
_NO_CSV = (";", "\t", " ")  # in the place of the comma
_NO_LIST = ("- {thing}", "({number}) {thing}")


def _draw_csv(picker: Picker, n: int) -> dict[str, Any]:
    names = picker.distinct(_told_by_value(PERSON), max(2, n - 1))
    records, others, texts = zip(*(_records(PERSON, names, picker) for _ in range(2)), strict=True)
    header = ["name", *names]
    rows, changed = (
        [header, *([record[name] for name in header] for record in table)]
        for table in (records, others)
    )
    mark = picker.pick(_NO_CSV)
    return {
        "source": " ".join(texts),
        "target": _lines(rows, ","),
        "constraints": ({"check": "csv", "rows": rows},),
        "wrong": (_lines(rows, mark), _lines(changed, ","), _lines(changed, mark)),
    }


def _lines(rows: list[list[str]], mark: str) -> str:
    return "\n".join(mark.join(row) for row in rows)


def _draw_list(picker: Picker, n: int) -> dict[str, Any]:
    n_things = n + 1
    n_same = n_things // 2
    drawn = [
        with_article(thing) for thing in picker.distinct(_TABLES["things"], 2 * n_things - n_same)
    ]
    things, spare = drawn[:n_things], drawn[n_things:]
    same = set(picker.distinct(tuple(things), n_same))
    changed = [thing if thing in same else spare.pop() for thing in things]
    source = picker.pick(_TABLES["lists"]).format(
        town=picker.pick(TOWNS),
        name=f"{picker.pick(FIRST_NAMES)} {picker.pick(LAST_NAMES)}",
        things=listed(things),
    )
    broken = picker.pick(_NO_LIST)
    return {
        "source": source,
        "target": _numbered(things),
        "constraints": ({"check": "numbered_list", "items": things},),
        "wrong": (_numbered(things, broken), _numbered(changed), _numbered(changed, broken)),
    }


def _numbered(items: list[str], form: str = "{number}. {thing}") -> str:
    return "\n".join(form.format(number=k, thing=thing) for k, thing in enumerate(items, 1))


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
    source = picker.pick(_TABLES["events"]).format(
        name=f"{picker.pick(FIRST_NAMES)} {picker.pick(LAST_NAMES)}",
        town=picker.pick(TOWNS),
        date=date,
    )
    parts = {"y": year, "m": month, "d": day}
    part = picker.pick(("y", "m", "d"))
    other = {
        "y": 1900 + (year - 1899 + picker.below(124)) % 125,
        "m": 1 + (month + picker.below(11)) % 12,
        "d": 13 + (day - 12 + picker.below(15)) % 16,
    }
    changed = {**parts, part: other[part]}
    broken = picker.pick(_NO_DATE)
    right = _ISO.format_map(parts)
    return {
        "source": source,
        "target": right,
        "constraints": ({"check": "iso_date", "value": right},),
        "wrong": (
            broken.format_map(parts),
            _ISO.format_map(changed),
            broken.format_map(changed),
        ),
    }
