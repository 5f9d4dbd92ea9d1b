"""Long sentences with rare words, and the short ones that say the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from textenv.datasets.generated.procedural import Picker
from textenv.datasets.generated.words import (
    FIRST_NAMES,
    JOBS,
    LAST_NAMES,
    MONTHS,
    TOWNS,
    WOMEN,
    split_words,
)

_N_PARTS = (2, 3, 4)


@dataclass(frozen=True)
class _Part:
    """One fact.

    Attributes:
        rare: A clause, in rare words.
        plain: The same as a predicate of {he}, in plain words.
        swap: Rare word -> its plain word, which stands in `plain`.
        keep: The slots that must stay.
    """

    rare: str
    plain: str
    swap: tuple[tuple[str, str], ...]
    keep: tuple[str, ...]


def _parts(table: str) -> tuple[_Part, ...]:
    """Reads parts, one a line: rare | plain | rare=plain of each word that is swapped."""
    parts = []
    for line in table.strip().splitlines():
        rare, plain, swaps = (column.strip() for column in line.split("|"))
        pairs = [swap.replace("_", " ").split("=") for swap in swaps.split()]
        swap = tuple((one, other) for one, other in pairs)
        parts.append(_Part(rare, plain, swap, tuple(re.findall(r"{(\w+)}", plain))))
    return tuple(parts)


_BEFORE = _parts(
    """
    who was formerly employed as a {job} | once worked as a {job} | formerly=once
    who had previously resided in {town} | had lived in {town} before | resided=lived
    who had acquired a diploma in {town} | had got a diploma in {town} | acquired=got
    who originated from {town} | came from {town} | originated=came
    whose occupation was that of a {job} | had the work of a {job} | occupation=work
    who had relinquished a position in {town} | had left a job in {town} | relinquished=left
    """
)
_MAIN = _parts(
    """
    purchased a dilapidated {thing} in {xtown} | bought an old {thing} in {xtown} | purchased=bought
    established a minuscule {shop} in {xtown} | opened a small {shop} in {xtown} | minuscule=small
    encountered a benevolent {xjob} in {xtown} | met a kind {xjob} in {xtown} | encountered=met
    constructed a gigantic {thing} near {xtown} | built a big {thing} near {xtown} | gigantic=big
    inherited a palatial {thing} near {xtown} | got a large {thing} near {xtown} | palatial=large
    assisted a decrepit {xjob} in {xtown} | helped a weak {xjob} in {xtown} | assisted=helped
    """
)
_AFTER = _parts(
    """
    subsequently endeavored to learn {skill} | then tried to learn {skill} | endeavored=tried
    departed for {ytown} in {month} | left for {ytown} in {month} | departed=left
    commenced lessons with a {yjob} | began lessons with a {yjob} | commenced=began
    expended {sum} dollars on repairs | spent {sum} dollars on repairs | expended=spent
    requested {price} dollars from a cousin | asked for {price} dollars | requested=asked_for
    terminated the work in {end} | ended the work in {end} | terminated=ended
    """
)
_THINGS = split_words("house boat barn mill garden tower bridge cottage farm stable")
_SHOPS = split_words("bakery school library shop inn museum bank theater clinic")
_SKILLS = split_words("Spanish Latin chess music sailing painting cooking Greek dancing")


def draw_simplify(picker: Picker, level: int) -> dict[str, Any]:
    """Draws a sentence of 2, 3 or 4 clauses, and three wrong ways of making it simple.

    Returns:
        "source", "target", "constraints", "keep" and "wrong": a sentence too long, a rare word
        left, a fact changed.
    """
    pick = picker.pick
    first = pick(FIRST_NAMES)
    towns = picker.distinct(TOWNS, 4)
    slots = {
        "name": f"{first} {pick(LAST_NAMES)}",
        "he": "She" if first in WOMEN else "He",
        "job": pick(JOBS),
        "xjob": pick(JOBS),
        "town": towns[0],
        "xtown": towns[1],
        "ytown": towns[2],
        "thing": pick(_THINGS),
        "shop": pick(_SHOPS),
        "skill": pick(_SKILLS),
        "yjob": pick(JOBS),
        "sum": str(200 + 10 * picker.below(390)),
        "price": str(4200 + 10 * picker.below(390)),
        "month": pick(MONTHS[:6]),
        "end": pick(MONTHS[6:]),
    }
    before, main = pick(_BEFORE), pick(_MAIN)
    after = picker.distinct(_AFTER, _N_PARTS[level] - 2)
    parts = (before, main, *after)
    rest = "".join(
        f", and {part.rare}" if part is after[-1] else f", {part.rare}" for part in after
    )
    source = f"{slots['name']}, {before.rare}, {main.rare}{rest}.".format_map(slots)
    plain = [part.plain.format_map(slots) for part in parts]
    sentences = _sentences(slots, plain)

    merged = [f"{sentences[0][:-1]} and {plain[1]}.", *sentences[2:]]
    k = picker.below(len(parts))
    rare, word = pick(parts[k].swap)
    rare_kept = _sentences(slots, [*plain[:k], plain[k].replace(word, rare, 1), *plain[k + 1 :]])
    changed = [sentence.replace(slots["xtown"], towns[3]) for sentence in sentences]
    keep = [slots[name] for part in parts for name in part.keep]
    return {
        "source": source,
        "target": " ".join(sentences),
        "constraints": (
            {"check": "max_words", "n": max(len(sentence.split()) for sentence in sentences)},
            {"check": "avoid", "words": tuple(rare for part in parts for rare, _ in part.swap)},
        ),
        "keep": tuple(dict.fromkeys((slots["name"], *keep))),
        "wrong": (" ".join(merged), " ".join(rare_kept), " ".join(changed)),
    }


def _sentences(slots: dict[str, str], plain: list[str]) -> list[str]:
    return [f"{slots['he'] if k else slots['name']} {said}." for k, said in enumerate(plain)]
