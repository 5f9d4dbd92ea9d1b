"""The generated summarisation set "news": short reports, each with the one sentence to keep.

A report tells one event (who did what, where, when) in one or two of its 4 to 6 sentences. The
others are what reports are padded with: what came before, the weather, a bystander, a cost. They
name other people, towns and days. The summary is the event in a fixed wording, which follows from
the report: nothing in it is a matter of taste.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textenv.datasets.news_events import (
    AFTER,
    BEFORE,
    FEW,
    KINDS,
    NUMBERS,
    ORGS,
    PARTS,
    PERCENTS,
    WEATHER,
    EventKind,
)
from textenv.datasets.procedural import Picker
from textenv.datasets.words import DAYS, FIRST_NAMES, JOBS, LAST_NAMES, MONTHS, TOWNS

_LEAD_PERCENT = 40  # how often the event comes first
_LENGTHS = (4, 5, 5, 6, 6)  # sentences in a report


def _slots(kind: EventKind, picker: Picker) -> dict[str, str]:
    """Draws every slot: the event's own (first, town, day) and those of others (ofirst, xtown)."""
    pick, distinct = picker.pick, picker.distinct
    role, number, few = pick(kind.roles), pick(NUMBERS), pick(FEW)
    slots = {
        "role": role,
        "Role": role.capitalize(),
        "thing": pick(kind.things),
        "extra": pick(kind.extras),
        "org": pick(ORGS),
        "job": pick(JOBS),
        "number": number,
        "percent": pick(PERCENTS),
        "few": few,
        "Few": few.capitalize(),
        "part": pick(PARTS),
        "weather": pick(WEATHER),
    }
    slots["first"], slots["ofirst"], slots["wfirst"] = distinct(FIRST_NAMES, 3)
    slots["last"], slots["olast"], slots["wlast"] = distinct(LAST_NAMES, 3)
    slots["town"], slots["otown"], slots["xtown"], slots["ztown"] = distinct(TOWNS, 4)
    slots["day"], slots["oday"] = distinct(DAYS, 2)
    slots["month"], slots["amonth"], slots["bmonth"] = distinct(MONTHS, 3)
    return slots


@dataclass(frozen=True)
class NewsGenerator:
    """Rows for `SummarizeTask`: a "document" of 4 to 6 sentences and its one-sentence "summary"."""

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a report; its whole text decides the split."""
        picker = Picker(rng)
        kind = picker.pick(KINDS)
        n_sentences = picker.pick(_LENGTHS)
        n_before = 0
        if picker.below(100) >= _LEAD_PERCENT:
            n_before = 1 + picker.below(min(3, n_sentences - 2))
        before = picker.distinct(kind.before + tuple(map(picker.pick, BEFORE)), n_before)
        detail = (picker.pick(kind.detail),) if kind.detail else ()
        n_after = n_sentences - n_before - 1 - len(detail)
        after = picker.distinct(kind.after + tuple(map(picker.pick, AFTER)), n_after)
        after = picker.distinct((*after, *detail), len(after) + len(detail))
        sentences = (*before, picker.pick(kind.event), *after)
        slots = _slots(kind, picker)
        document = " ".join(sentences).format_map(slots)
        return document, {"document": document, "summary": kind.summary.format_map(slots)}
