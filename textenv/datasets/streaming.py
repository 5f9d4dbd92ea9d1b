"""Streams data sets that do not fit in memory: rows are read once, in order, and kept on disk.

A dataset must give any example by its index, the same in every process; a stream can only be read
from its beginning. So the first rows that belong to the split are read once, when the environment
is made, into a temporary file, of which memory holds only where each row stands: 24 bytes a row.
From then on index i is row i of the split, whatever was asked before, and no network is needed. A
file of JSON lines is its own store: nothing of it is copied.
"""

from __future__ import annotations

import itertools
import json
import mmap
import tempfile
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from textenv.datasets.base import SPLITS, Split, split_numbers
from textenv.datasets.formats.files import stream_files
from textenv.datasets.formats.json_files import Span, WrittenFloat, iterate_lines, parse_json
from textenv.datasets.formats.text_files import ReadOptions
from textenv.datasets.hashes import group_hash, prompt_hash
from textenv.datasets.matching import match_columns
from textenv.datasets.reading import Stream, Table, quiet_datasets, stream_hub
from textenv.datasets.report import LoadReport, reason_of
from textenv.datasets.row import Note, Refused, Row
from textenv.datasets.rows import RowReader, RowsDataset
from textenv.datasets.skipped import Skipped
from textenv.datasets.sources import no_split, open_source
from textenv.datasets.spec import RowsSpec
from textenv.errors import DatasetError
from textenv.tasks.base import Task

# Rows that are looked at to learn the columns of a stream that does not declare them.
_PEEK = 100


class DiskRows(Sequence[Row]):
    """Rows of a file of JSON lines that is mapped for reading, each read when it is asked for.

    Row i stands from the byte `starts[i]` up to `ends[i]`.
    """

    def __init__(self, memory: mmap.mmap, starts: Sequence[int], ends: Sequence[int]) -> None:
        self._memory = memory
        self._starts = starts
        self._ends = ends

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        line = self._memory[self._starts[index] : self._ends[index]]
        row: Row = parse_json(line.decode("utf-8", "surrogatepass").removeprefix("\ufeff"))
        return row


def load_stream(source: RowsSpec, task: Task, split: Split) -> RowsDataset:
    """Keeps the first rows of a split of a stream on disk.

    The splits are those of the set read whole, but for groups that share a prompt. Rows of one
    prompt stay examples of their own: to gather them, all must be at hand.
    """
    opened = open_source(source, task, stream_files, stream_hub)
    if "train" not in opened.splits and split not in opened.splits:
        raise no_split(source, split, opened)
    stream = opened.splits[split if split in opened.splits else "train"]
    columns = columns_of(stream)
    if not columns:
        raise DatasetError(f"Dataset '{source.path}' has no rows in '{stream.name}'.")
    matched = match_columns(source, task, stream.name, columns, cells=stream.cells)
    reader = RowReader(task, matched)
    sift = _Sift(reader, source, Table(stream.name, columns, ()), _numbers(split, opened.splits))
    table = keep_rows(stream.narrowed(matched.wanted), sift.wants, source.rows, sift.refuse)
    n = len(table.rows)
    if n == 0:
        raise DatasetError(
            f"Split '{split}' of dataset '{source.path}' is empty: none of the rows of "
            f"'{stream.name}' falls into it. Give another split."
        )
    counts = sift.skipped.counts
    report = LoadReport(
        source.path,
        sift.n_read,
        sift.n_read - sum(counts.values()),
        counts,
        {reason: tuple(places) for reason, places in sift.skipped.places.items()},
        sizes={split: n},
        notes=(*opened.notes, *table.notes_on(matched.wanted)),
    )
    report.log()
    return RowsDataset(reader, table, range(n), range(n + 1), report)


def _numbers(split: Split, declared: Collection[Split]) -> frozenset[int]:
    """Returns which hash splits of the rows that are read make up a split."""
    if split in declared and split != "train":
        return frozenset(range(len(SPLITS)))
    return frozenset(
        number
        for number, name in enumerate(SPLITS)
        if name == split or (split == "train" and name in declared)
    )


class _Sift:
    """Tells which rows of a stream belong to a split, and counts them."""

    def __init__(
        self, reader: RowReader, source: RowsSpec, table: Table, numbers: frozenset[int]
    ) -> None:
        self.reader = reader
        self.source = source
        self.table = table
        self.numbers = numbers
        self.skipped = Skipped()
        self.n_read = 0

    def refuse(self, refused: Refused) -> None:
        """Takes a row that could not be read: an error, or left out."""
        if self.source.skip != "unusable":
            raise refused.error()
        self.n_read += 1
        self.skipped.add(reason_of(refused.reason, self.table.columns), refused.where)

    def wants(self, number: int, row: Row) -> bool:
        """Returns whether to keep a row; one that cannot be used is an error, or left out."""
        self.n_read += 1
        if self.source.skip == "missing" and (lacking := self.reader.lacks(row)):
            self.skipped.add(f"no value for '{lacking}'", self.table.where(number - 1))
            return False
        try:
            example = self.reader.read(self.table, (number - 1,), (row,)).example
        except DatasetError as error:
            if self.source.skip != "unusable":
                raise
            reason = reason_of(str(error.__cause__ or error), self.table.columns)
            self.skipped.add(reason, self.table.where(number - 1))
            return False
        if len(self.numbers) == len(SPLITS):
            return True
        group = None if self.source.group is None else group_hash(row, self.source.group)
        key = group or prompt_hash(self.reader.task.split_key(example))
        return int(split_numbers(np.array([key], np.uint64))[0]) in self.numbers


def columns_of(stream: Stream) -> tuple[str, ...]:
    """Returns the columns of a stream; where none are declared, those of its first rows."""
    if stream.columns is not None:
        return stream.columns
    refused: list[Refused] = []
    rows = itertools.islice(_spans(stream, refused.append), _PEEK)
    columns = tuple(dict.fromkeys(column for row, _ in rows for column in row))
    if refused and not columns:
        raise refused[0].error(len(refused))
    return columns


def keep_rows(
    stream: Stream,
    wanted: Callable[[int, Row], bool],
    limit: int | None,
    refuse: Callable[[Refused], None],
) -> Table:
    """Reads a stream from its first row on, and keeps rows on disk; all of them without a limit.

    `wanted` tells from a row's number, from 1, and the row whether to keep it; `refuse` gets what
    could not be read, which has no number.
    """
    numbers, starts, ends = array("q"), array("q"), array("q")
    notes: list[Note] = []
    with tempfile.TemporaryFile() as spool:
        size = 0
        for number, (row, span) in enumerate(_spans(stream, refuse, notes.append), start=1):
            if not wanted(number, row):
                continue
            if span is None:
                text = json.dumps(_spelled(row), ensure_ascii=False, default=str)
                data = text.encode("utf-8", "surrogatepass")
                spool.write(data)
                span = size, size + len(data)
                size = span[1]
            numbers.append(number)
            starts.append(span[0])
            ends.append(span[1])
            if len(numbers) == limit:
                break
        spool.flush()
        rows: Sequence[Row] = []
        if numbers:
            rows = DiskRows(_mapped(stream.file, spool), starts, ends)
    return Table(stream.name, stream.columns or (), rows, numbers, notes=tuple(notes))


def _spelled(value: Any) -> Any:
    """Returns a value whose fractions are texts, spelled as they were."""
    if isinstance(value, Mapping):
        return {key: _spelled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_spelled(item) for item in value]
    return str(value) if isinstance(value, WrittenFloat) else value


def _mapped(path: Path | None, spool: Any) -> mmap.mmap:
    """Maps the stream's own file, or the spool, which stays readable after it is closed."""
    if path is None:
        return mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ)
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _spans(
    stream: Stream,
    refuse: Callable[[Refused], None],
    note: Callable[[Note], None] = lambda note: None,
) -> Iterator[tuple[Row, Span | None]]:
    """Yields the rows, with their places where the stream is a file that can be read there."""
    if stream.file is not None:
        for line, row, span in iterate_lines(stream.file, ReadOptions()):
            if isinstance(row, str):
                refuse(Refused(f"{stream.file.name}, line {line}", row))
            else:
                yield row, span
        return
    number = 0
    try:
        for item in _quietly(stream.rows):
            if isinstance(item, Refused):
                refuse(item)
            elif isinstance(item, Note):
                note(item)
            else:
                yield item, None
                number += 1
    except DatasetError:
        raise
    except Exception as error:  # the network's and the library's, of nearly every type there is
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DatasetError(
            f"The stream of '{stream.name}' broke off after {number} rows: {reason} Try again, or "
            'give {"streaming": false} to download the set first.'
        ) from error


def _quietly(rows: Iterable[Row | Refused | Note]) -> Iterator[Row | Refused | Note]:
    with quiet_datasets():
        yield from rows
