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
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from textenv.datasets.files import Span, iterate_lines
from textenv.datasets.reading import Row, Stream, Table, quiet_datasets
from textenv.errors import DatasetError

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
        row: Row = json.loads(self._memory[self._starts[index] : self._ends[index]])
        return row


def columns_of(stream: Stream) -> tuple[str, ...]:
    """Returns the columns of a stream; where none are declared, those of its first rows."""
    if stream.columns is not None:
        return stream.columns
    rows = itertools.islice(_spans(stream), _PEEK)
    return tuple(dict.fromkeys(column for row, _ in rows for column in row))


def keep_rows(stream: Stream, wanted: Callable[[int, Row], bool], limit: int | None) -> Table:
    """Reads a stream from its first row on, and keeps rows on disk; all of them without a limit.

    `wanted` tells from a row's number, from 1, and the row whether to keep it.
    """
    numbers, starts, ends = array("q"), array("q"), array("q")
    with tempfile.TemporaryFile() as spool:
        size = 0
        for number, (row, span) in enumerate(_spans(stream), start=1):
            if not wanted(number, row):
                continue
            if span is None:
                data = json.dumps(row, ensure_ascii=False, default=str).encode()
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
    return Table(stream.name, stream.columns or (), rows, numbers)


def _mapped(path: Path | None, spool: Any) -> mmap.mmap:
    """Maps the stream's own file, or the spool, which stays readable after it is closed."""
    if path is None:
        return mmap.mmap(spool.fileno(), 0, access=mmap.ACCESS_READ)
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _spans(stream: Stream) -> Iterator[tuple[Row, Span | None]]:
    """Yields the rows, with their places where the stream is a file that can be read there."""
    if stream.file is not None:
        yield from iterate_lines(stream.file)
        return
    number = 0
    try:
        for row in _quietly(stream.rows):
            yield row, None
            number += 1
    except DatasetError:
        raise
    except Exception as error:  # the network's and the library's, of nearly every type there is
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DatasetError(
            f"The stream of '{stream.name}' broke off after {number} rows: {reason} Try again, or "
            'give {"streaming": false} to download the set first.'
        ) from error


def _quietly(rows: Iterable[Row]) -> Iterator[Row]:
    with quiet_datasets():
        yield from rows
