"""Rows of one table as examples: which are usable, what decides their split, which are one."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenv.datasets.base import hash_of
from textenv.datasets.columns import plain, value_at
from textenv.datasets.hashes import encode, group_hash, joined_groups, prompt_hash
from textenv.datasets.reading import Table
from textenv.datasets.report import counted, reason_of
from textenv.datasets.row import Row
from textenv.datasets.rows import RowReader
from textenv.datasets.skipped import Refusals, Skipped
from textenv.datasets.spec import RowsSpec
from textenv.errors import DatasetError

NO_PASSAGE = 0  # stands for the hash of a text that is not there


@dataclass(frozen=True)
class TableExamples:
    """The examples of one table; arrays are over examples unless they say otherwise."""

    table: Table
    indices: NDArray[np.int64]  # (n_rows,), rows of an example are neighbours
    starts: NDArray[np.int64]  # (n_examples + 1,), where each example's rows start in `indices`
    prompts: NDArray[np.uint64]  # hash of what the agent sees
    keys: NDArray[np.uint64]  # what decides the split: the prompt, or the group
    passages: NDArray[np.uint64] | None  # hash of the text that several examples may share
    skipped: Skipped
    mended: int  # rows with half of a surrogate pair
    listed: frozenset[str]  # fields of which a cell was read as a list
    duplicates: int = 0
    merged: int = 0
    apart: int = 0  # prompts of several examples, whose rows cannot be one
    joining: int = 0  # prompts that stand in several groups

    def __len__(self) -> int:
        return len(self.prompts)

    def notes(self) -> list[str]:
        """Returns what a user should know of how the rows were read."""
        notes = []
        if self.mended:
            notes.append(
                f"Half of a character (a lone surrogate) became U+FFFD in "
                f"{counted(self.mended, 'row')} of '{self.table.name}'."
            )
        for name in sorted(self.listed):
            notes.append(f"Cells of '{name}' that spell a list were read as lists.")
        if self.joining:
            notes.append(
                f"{counted(self.joining, 'prompt')} of '{self.table.name}' are in several groups. "
                "Groups that share a prompt share a split."
            )
        if self.apart:
            notes.append(
                f"In '{self.table.name}', the rows of {counted(self.apart, 'prompt')} stay several "
                "examples, since they differ in more than references. Those of one prompt share a "
                "split."
            )
        return notes


def read_examples(reader: RowReader, table: Table, source: RowsSpec) -> TableExamples:
    """Builds the example of every row once, and says what came of it.

    Raises:
        DatasetError: A row cannot be used, and `skip` does not say to leave it out.
    """
    skipped, refusals = Skipped(), Refusals(source)
    fields = reader.task.fields
    names = {*table.columns, *(wanted.name for wanted in fields)}
    for refused in table.refused:
        skipped.add(reason_of(refused.reason, names), refused.where)
    shared = next(
        (f.name for f in fields if f.shared and f.name in reader.matched.fields.columns), None
    )
    columns = reader.matched.fields.columns
    lists = [name for name in reader.matched.fields.lists if isinstance(columns.get(name), str)]
    starts, indices = array("q", [0]), array("q")
    prompts, groups, passages = array("Q"), array("Q"), array("Q")
    listed: set[str] = set()
    n_mended = 0
    for unit, rows in _units(reader, table, source, skipped):
        try:
            read = reader.read(table, unit, rows)
        except DatasetError as error:
            cause = str(error.__cause__ or error)
            skipped.add(reason_of(cause, names), table.where(unit[0]))
            refusals.add(error)
            continue
        indices.extend(unit)
        starts.append(len(indices))
        prompts.append(prompt_hash(reader.task.split_key(read.example)))
        if source.group is not None:
            groups.append(group_hash(rows[0], source.group) or prompts[-1])
        if shared is not None:
            passage = read.values.get(shared)
            passages.append(NO_PASSAGE if passage is None else hash_of(str(passage)))
        n_mended += read.mended
        listed.update(name for name in lists if isinstance(read.values.get(name), list | dict))
    refusals.check(len(table.rows))
    keys, n_joining = _hashes(prompts), 0
    if source.group is not None:
        keys, n_joining = joined_groups(keys, _hashes(groups))
    return _gathered(
        reader,
        TableExamples(
            table,
            np.frombuffer(indices, np.int64),
            np.frombuffer(starts, np.int64),
            _hashes(prompts),
            keys,
            _hashes(passages) if shared is not None else None,
            skipped,
            n_mended,
            frozenset(listed),
            joining=n_joining,
        ),
    )


def _hashes(numbers: array[int]) -> NDArray[np.uint64]:
    return np.frombuffer(numbers, np.uint64)


def _units(
    reader: RowReader, table: Table, source: RowsSpec, skipped: Skipped
) -> Iterator[tuple[Sequence[int], Sequence[Row]]]:
    """Yields the indices and the rows that are one example as the user says it."""
    units: dict[str, tuple[list[int], list[Row]]] = {}
    for index, row in enumerate(table.scan()):
        if source.skip == "missing" and (lacking := reader.lacks(row)):
            skipped.add(f"no value for '{lacking}'", table.where(index))
        elif source.gather is None:
            yield (index,), (row,)
        else:
            indices, rows = units.setdefault(encode(value_at(row, source.gather)), ([], []))
            indices.append(index)
            rows.append(row)
    yield from units.values()


def _gathered(reader: RowReader, found: TableExamples) -> TableExamples:
    """Makes one example of those with the same prompt whose rows differ in references alone."""
    _, inverse, counts = np.unique(found.prompts, return_inverse=True, return_counts=True)
    repeated = np.flatnonzero(counts[inverse] > 1)
    if not len(repeated):
        return found
    several = {wanted.name for wanted in reader.task.fields if wanted.takes == "texts"}
    homes: dict[str, int] = {}  # what must agree -> the first example that has it
    said: dict[int, set[str]] = {}  # the texts of each of these
    added: dict[int, list[int]] = {}  # the examples that join each
    dropped = np.zeros(len(found), np.bool_)
    duplicates = merged = 0
    for place in repeated.tolist():
        unit = _unit(found, place)
        values = reader.read(found.table, unit, [found.table.rows[i] for i in unit]).values
        fixed = {name: plain(value) for name, value in values.items() if name not in several}
        key = f"{found.prompts[place]} {encode(fixed)}"
        texts = {f"{name} {encode(text)}" for name in several for text in _texts(values.get(name))}
        home = homes.setdefault(key, place)
        if home == place:
            said[home] = texts
        elif texts <= said[home]:
            dropped[place] = True
            duplicates += len(unit)
        elif home in added or _are_one(reader, found, (home, place)):
            said[home] |= texts
            added.setdefault(home, []).append(place)
            dropped[place] = True
            merged += len(unit)
    kept = np.flatnonzero(~dropped)
    units = [
        [i for place in (home, *added.get(home, ())) for i in _unit(found, place)]
        for home in kept.tolist()
    ]
    _, left = np.unique(found.prompts[kept], return_counts=True)
    return replace(
        found,
        indices=np.fromiter((i for unit in units for i in unit), np.int64),
        starts=np.cumsum([0, *map(len, units)]),
        prompts=found.prompts[kept],
        keys=found.keys[kept],
        passages=None if found.passages is None else found.passages[kept],
        duplicates=duplicates,
        merged=merged,
        apart=int((left > 1).sum()),
    )


def _are_one(reader: RowReader, found: TableExamples, places: Sequence[int]) -> bool:
    """True if the task takes the rows of several examples as one."""
    try:
        reader.example(found.table, [row for place in places for row in _unit(found, place)])
    except DatasetError:
        return False
    return True


def _unit(found: TableExamples, place: int) -> list[int]:
    return found.indices[found.starts[place] : found.starts[place + 1]].tolist()  # type: ignore[no-any-return] # integers


def _texts(value: Any) -> list[Any]:
    return [plain(item) for item in (value if isinstance(value, list) else [value])]
