"""Long sentences with rare words, and the short ones that say the same.

The wrong candidates are not simple, have other facts, or both, so that none of the four looks more
like the others than the right one does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from textenv.datasets.generated.procedural import Picker
from textenv.datasets.generated.tables import load_table
from textenv.datasets.generated.words import FIRST_NAMES, JOBS, LAST_NAMES, MONTHS, TOWNS, WOMEN

_N_PARTS = (2, 3, 4)


@dataclass(frozen=True)
class _Part:
    """One fact in rare words and in plain ones; see rewrite_simplify.yaml."""

    rare: str
    plain: str
    swap: dict[str, str]

    @property
    def keep(self) -> list[str]:
        """The slots that must stay."""
        return re.findall(r"{(\w+)}", self.plain)


@dataclass(frozen=True)
class _Tables:
    """What rewrite_simplify.yaml holds."""

    before: tuple[_Part, ...]
    main: tuple[_Part, ...]
    after: tuple[_Part, ...]
    things: tuple[str, ...]
    shops: tuple[str, ...]
    skills: tuple[str, ...]


_TABLES = load_table("rewrite_simplify", _Tables)
_SUMS = tuple(str(200 + 10 * k) for k in range(390))
_PRICES = tuple(str(4200 + 10 * k) for k in range(390))


def draw_simplify(picker: Picker, level: int) -> dict[str, Any]:
    """Draws a sentence of 2, 3 or 4 clauses, and three wrong ways of making it simple.

    What is not simple is one long sentence, hardly ever longer than the right text, or has the rare
    words left, and is mostly longer.
    """
    pick = picker.pick
    first = pick(FIRST_NAMES)
    who = {"name": f"{first} {pick(LAST_NAMES)}", "he": "She" if first in WOMEN else "He"}
    before, main = pick(_TABLES.before), pick(_TABLES.main)
    parts = (before, main, *picker.distinct(_TABLES.after, _N_PARTS[level] - 2))
    # The right facts and the wrong ones are drawn alike.
    slots, other = ({**who, **facts} for facts in _facts(picker))
    rest = "".join(
        f", and {part.rare}" if part is parts[-1] else f", {part.rare}" for part in parts[2:]
    )
    source = f"{who['name']}, {before.rare}, {main.rare}{rest}.".format_map(slots)
    sentences = _sentences(slots, parts)
    not_simple = _merged if picker.below(2) else _with_rare_words
    keep = [slots[name] for part in parts for name in part.keep]
    return {
        "source": source,
        "target": " ".join(sentences),
        "constraints": (
            {"check": "max_words", "n": max(len(sentence.split()) for sentence in sentences)},
            {"check": "avoid", "words": tuple(rare for part in parts for rare in part.swap)},
        ),
        "keep": tuple(dict.fromkeys((slots["name"], *keep))),
        "wrong": (
            not_simple(slots, parts),
            " ".join(_sentences(other, parts)),
            not_simple(other, parts),
        ),
    }


def _facts(picker: Picker) -> tuple[dict[str, str], dict[str, str]]:
    """Draws the values of the slots twice; no slot has the same value in both."""
    columns = {
        **dict(zip(("job", "xjob", "yjob"), _pairs(picker, JOBS, 3), strict=True)),
        **dict(zip(("town", "xtown", "ytown"), _pairs(picker, TOWNS, 3), strict=True)),
        "thing": picker.distinct(_TABLES.things, 2),
        "shop": picker.distinct(_TABLES.shops, 2),
        "skill": picker.distinct(_TABLES.skills, 2),
        "sum": picker.distinct(_SUMS, 2),
        "price": picker.distinct(_PRICES, 2),
        "month": picker.distinct(MONTHS[:6], 2),
        "end": picker.distinct(MONTHS[6:], 2),
    }
    one, other = ({name: pair[i] for name, pair in columns.items()} for i in (0, 1))
    return one, other


def _pairs(picker: Picker, values: tuple[str, ...], n: int) -> list[tuple[str, ...]]:
    drawn = picker.distinct(values, 2 * n)
    return [drawn[k : k + 2] for k in range(0, 2 * n, 2)]


def _sentences(slots: dict[str, str], parts: tuple[_Part, ...]) -> list[str]:
    who = [slots["name"], *[slots["he"]] * (len(parts) - 1)]
    return [f"{one} {part.plain.format_map(slots)}." for one, part in zip(who, parts, strict=True)]


def _merged(slots: dict[str, str], parts: tuple[_Part, ...]) -> str:
    """Says everything in one sentence."""
    return f"{slots['name']} {' and '.join(part.plain for part in parts)}.".format_map(slots)


def _with_rare_words(slots: dict[str, str], parts: tuple[_Part, ...]) -> str:
    """Says everything in short sentences, with the rare words of all of them."""
    said = " ".join(_sentences(slots, parts))
    for part in parts:
        for rare, word in part.swap.items():
            said = said.replace(f" {word} ", f" {rare} ", 1)
    return said
