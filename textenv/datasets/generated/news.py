"""The generated summarisation set "news": short reports, each with the one sentence to keep.

A report tells one event (who did what, where, when) in one or two of its 4 to 6 sentences. The
others are what reports are padded with: what came before, the weather, a bystander, a cost. They
name other people, towns and days. The summary is the event in a fixed wording, which follows from
the report: nothing in it is a matter of taste. Hard reports tell two events, one after the other,
and the summary joins both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.generated.procedural import GradedGenerator, Picker
from textenv.datasets.generated.tables import load_table
from textenv.datasets.generated.words import DAYS, FIRST_NAMES, JOBS, LAST_NAMES, MONTHS, TOWNS


@dataclass(frozen=True)
class EventKind:
    """One kind of event, as templates over the slots that a report fills; see news.yaml."""

    summary: str
    event: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    detail: tuple[str, ...] = ()
    roles: tuple[str, ...] = ("mayor",)
    things: tuple[str, ...] = ("thing",)
    extras: tuple[str, ...] = ("extra",)


@dataclass(frozen=True)
class _Tables:
    """What news.yaml holds."""

    kinds: dict[str, EventKind]
    before: tuple[tuple[str, ...], ...]
    after: tuple[tuple[str, ...], ...]
    orgs: tuple[str, ...]
    numbers: tuple[str, ...]
    percents: tuple[str, ...]
    few: tuple[str, ...]
    parts: tuple[str, ...]
    weather: tuple[str, ...]


TABLES = load_table("news", _Tables)
KINDS = tuple(TABLES.kinds.values())


@dataclass(frozen=True)
class _Level:
    """How hard a report is."""

    lengths: tuple[int, ...]  # sentences for each event; the shortest has room for two that tell it
    lead_percent: int  # how often the event comes first
    n_events: int = 1


_LEVELS: Mapping[str, _Level] = {
    "easy": _Level((2, 3, 3), 100),
    "medium": _Level((4, 5, 5, 6, 6), 40),
    "hard": _Level((4, 5, 5), 30, n_events=2),
}


def _slots(kind: EventKind, picker: Picker, taken: frozenset[str]) -> dict[str, str]:
    """Draws every slot: the event's own (first, town), and those of others (ofirst, xtown)."""

    def free(options: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(option for option in options if option not in taken) if taken else options

    pick, distinct = picker.pick, picker.distinct
    role, number, few = pick(kind.roles), pick(TABLES.numbers), pick(TABLES.few)
    slots = {
        "role": role,
        "Role": role.capitalize(),
        "thing": pick(kind.things),
        "extra": pick(kind.extras),
        "org": pick(free(TABLES.orgs)),
        "job": pick(JOBS),
        "number": number,
        "percent": pick(TABLES.percents),
        "few": few,
        "Few": few.capitalize(),
        "part": pick(TABLES.parts),
        "weather": pick(TABLES.weather),
    }
    slots["first"], slots["ofirst"], slots["wfirst"] = distinct(free(FIRST_NAMES), 3)
    slots["last"], slots["olast"], slots["wlast"] = distinct(free(LAST_NAMES), 3)
    slots["town"], slots["otown"], slots["xtown"], slots["ztown"] = distinct(free(TOWNS), 4)
    slots["day"], slots["oday"] = distinct(DAYS, 2)
    slots["month"], slots["amonth"], slots["bmonth"] = distinct(MONTHS, 3)
    return slots


def _tell(
    kind: EventKind, picker: Picker, level: _Level, taken: frozenset[str] = frozenset()
) -> tuple[str, str, dict[str, str]]:
    """Draws an event: its sentences, its summary, and its slots."""
    n_sentences = picker.pick(level.lengths)
    n_before = 0
    if picker.below(100) >= level.lead_percent:
        n_before = 1 + picker.below(min(3, n_sentences - 2))
    # What may stand in any report stands there once, so that it cannot clash.
    any_before, any_after = ((), ()) if taken else (TABLES.before, TABLES.after)
    before = picker.distinct(kind.before + tuple(map(picker.pick, any_before)), n_before)
    detail = (picker.pick(kind.detail),) if kind.detail else ()
    n_after = n_sentences - n_before - 1 - len(detail)
    after = picker.distinct(kind.after + tuple(map(picker.pick, any_after)), n_after)
    after = picker.distinct((*after, *detail), len(after) + len(detail))
    sentences = (*before, picker.pick(kind.event), *after)
    slots = _slots(kind, picker, taken)
    return " ".join(sentences).format_map(slots), kind.summary.format_map(slots), slots


def _join(first: str, second: str, kind: EventKind, slots: Mapping[str, str]) -> str:
    """Joins two summaries to one sentence; the second, of `kind`, loses its capital."""
    if kind.summary.startswith("{Role}"):
        second = slots["role"] + second[len(slots["role"]) :]
    elif not kind.summary.startswith("{"):
        second = second[0].lower() + second[1:]
    return f"{first[:-1]}, and {second}"


class NewsGenerator(GradedGenerator):
    """Rows for `SummarizeTask`: a "document" and its one-sentence "summary".

    Attributes:
        difficulty: "easy" reports have 2 or 3 sentences and begin with the event, "medium" ones
            have 4 to 6, "hard" ones 8 to 10 and tell two events.
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a report; its whole text decides the split."""
        picker = Picker(rng)
        level = _LEVELS[self.difficulty]
        kind = picker.pick(KINDS)
        document, summary, slots = _tell(kind, picker, level)
        if level.n_events == 2:
            kind = picker.pick(tuple(other for other in KINDS if other is not kind))
            told, also, slots = _tell(kind, picker, level, frozenset(slots.values()))
            document, summary = f"{document} {told}", _join(summary, also, kind, slots)
        return document, {"document": document, "summary": summary}
