"""Checkable constraints of a text, as data: what they ask for, and how far a text meets them.

A constraint is a mapping with the key "check", one of `CHECKS`, and the options of that check:

    {"check": "max_words", "n": 9}                 no sentence has more than 9 words
    {"check": "max_sentences", "n": 3}             no more than 3 sentences
    {"check": "avoid", "words": ["purchase"]}      none of these words, in any form
    {"check": "json", "values": {"name": "Anna"}}  a JSON object with these keys and values
    {"check": "csv", "rows": [["name"], ["Anna"]]} CSV with this header and these rows
    {"check": "numbered_list", "items": ["a map"]} "1. a map", one item a line
    {"check": "iso_date", "value": "2024-03-15"}   a date as YYYY-MM-DD, and nothing else
"""

from __future__ import annotations

import csv
import datetime
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textenv.errors import ConfigError, UnknownNameError
from textenv.rewards.lexical.words import answer_key, find_words
from textenv.rewards.style.inflection import contains, phrase_of
from textenv.rewards.style.writing import split_sentences

_ITEM = re.compile(r"(\d+)[.)]\s+(.*\S)")
_NUMBER = re.compile(r"(?<!\w)[-−]?\d+(?:[.,]\d+)*")
_FENCE = re.compile(r"\A```\w*[ \t\r]*\n(.*?)\r?\n?```\Z", re.DOTALL)


@dataclass(frozen=True)
class Checked:
    """How far a text meets a constraint."""

    met: float  # degree to which the form is as asked, in [0, 1]
    # Degree to which the content in that form is right, likewise; None for one of style alone.
    content: float | None = None


@dataclass(frozen=True)
class Check:
    """One kind of constraint."""

    option: str  # the key of its one option
    kind: type  # the type of that option
    describe: Callable[[Any], str]  # says what an option asks for, without its content
    run: Callable[[str, Any], Checked]  # checks a text against an option


def check_all(text: str, constraints: Sequence[Mapping[str, Any]]) -> list[Checked]:
    """Checks a text against each constraint, in order."""
    text = without_fence(text)
    found = []
    for constraint in constraints:
        check = find_check(constraint)
        found.append(check.run(text, constraint[check.option]))
    return found


def without_fence(text: str) -> str:
    """Strips a text, and the Markdown fence in which chat models quote JSON."""
    text = text.strip()
    fenced = _FENCE.match(text)
    return fenced[1] if fenced else text


def describe_all(constraints: Sequence[Mapping[str, Any]]) -> str:
    """Says in sentences what constraints ask for."""
    checks = [(find_check(constraint), constraint) for constraint in constraints]
    return " ".join(check.describe(constraint[check.option]) for check, constraint in checks)


def find_check(constraint: Mapping[str, Any]) -> Check:
    """Returns a constraint's check, after a look at its option; raises if either is wrong."""
    name = constraint.get("check") if isinstance(constraint, Mapping) else constraint
    if not isinstance(name, str) or name not in CHECKS:
        raise UnknownNameError("check of a constraint", name, CHECKS)
    check = CHECKS[name]
    given = constraint.get(check.option)
    is_text = isinstance(given, str) and check.kind is not str
    if not isinstance(given, check.kind) or isinstance(given, bool) or is_text or not given:
        raise ConfigError(
            f"The constraint '{name}' needs '{check.option}', a {_NAMES[check.kind]} that is not "
            f"empty, not {given!r}."
        )
    return check


def _jaccard(one: Sequence[str], other: Sequence[str]) -> float:
    shared = set(one) & set(other)
    # Names given twice count against the text.
    return len(shared) / (max(len(one), len(set(one) | set(other))) or 1)


def _same(said: object, value: object) -> bool:
    one, other = str(said), str(value)
    # -5 and 5, or 3.5 and "3 5", have the same words.
    same_numbers = _NUMBER.findall(one) == _NUMBER.findall(other)
    return (
        same_numbers and answer_key(one) == answer_key(other) and not isinstance(said, list | dict)
    )


def _max_words(text: str, n: int) -> Checked:
    lengths = [len(find_words(sentence)) for sentence in split_sentences(text)]
    return Checked(sum(0 < length <= n for length in lengths) / len(lengths) if lengths else 0.0)


def _max_sentences(text: str, n: int) -> Checked:
    n_sentences = len(split_sentences(text))
    return Checked(min(1.0, n / n_sentences) if n_sentences else 0.0)


def _avoid(text: str, avoided: Sequence[str]) -> Checked:
    words = find_words(text)
    if not words:
        return Checked(0.0)
    n_used = sum(contains(words, phrase_of(word)) for word in avoided)
    return Checked(1 - n_used / len(avoided))


def _json(text: str, values: Mapping[str, Any]) -> Checked:
    try:
        pairs = json.loads(text, object_pairs_hook=list)
        # Inner objects would be lists of pairs, too, and a list of pairs is no object.
        is_object = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return Checked(0.0, 0.0)
    if not is_object:
        return Checked(0.0, 0.0)
    said = dict(pairs)
    right = sum(key in said and _same(said[key], value) for key, value in values.items())
    return Checked(_jaccard([key for key, _ in pairs], list(values)), right / len(values))


def _csv(text: str, rows: Sequence[Sequence[str]]) -> Checked:
    try:
        said = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    except csv.Error:
        return Checked(0.0, 0.0)
    if not said or max(map(len, said)) == 1 < len(rows[0]):
        return Checked(0.0, 0.0)
    header, *body = said
    wanted, *records = rows
    n_regular = sum(len(row) == len(header) for row in said)
    met = _jaccard(header, list(wanted)) * n_regular / len(said)
    right = sum(
        name in header
        and header.index(name) < len(row)
        and _same(row[header.index(name)], record[k])
        for row, record in zip(body, records, strict=False)
        for k, name in enumerate(wanted)
    )
    return Checked(met, right / (len(wanted) * max(len(records), len(body))))


def _numbered_list(text: str, items: Sequence[str]) -> Checked:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [_ITEM.fullmatch(line) for line in lines]
    said = [
        match[2] for k, match in enumerate(found) if match is not None and int(match[1]) == k + 1
    ]
    n = max(len(lines), len(items))
    right = sum(_same(one, item) for one, item in zip(said, items, strict=False))
    return Checked(min(len(said), len(items)) / n, right / n)


def _iso_date(text: str, value: str) -> Checked:
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            raise ValueError
        datetime.date.fromisoformat(text)
    except ValueError:
        return Checked(0.0, 0.0)
    return Checked(1.0, float(text == value))


_NAMES = {int: "whole number", str: "text", Sequence: "list", Mapping: "mapping"}

CHECKS: dict[str, Check] = {
    "max_words": Check("n", int, "Write at most {} words in a sentence.".format, _max_words),
    "max_sentences": Check("n", int, "Write at most {} sentences.".format, _max_sentences),
    "avoid": Check("words", Sequence, lambda words: f"Do not use: {', '.join(words)}.", _avoid),
    "json": Check(
        "values",
        Mapping,
        lambda values: f"Write one JSON object with the keys: {', '.join(values)}.",
        _json,
    ),
    "csv": Check(
        "rows",
        Sequence,
        lambda rows: f"Write CSV with the header: {','.join(rows[0])}",
        _csv,
    ),
    "numbered_list": Check(
        "items",
        Sequence,
        lambda items: f"Write a numbered list of {len(items)} items, one a line.",
        _numbered_list,
    ),
    "iso_date": Check("value", str, lambda _: "Write only the date, as YYYY-MM-DD.", _iso_date),
}
