"""Reads local files of rows: JSON, JSON Lines, CSV, Parquet and XML.

All but Parquet are read with the standard library rather than through `datasets`: values stay as
they are written (a CSV answer "007" or "None" is that text, not a number or nothing; a JSON column
may mix types), an error can name its line, and no copy is left in a cache. Parquet has types of
its own.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from textenv.datasets.formats.csv_files import iterate_csv
from textenv.datasets.formats.json_files import iterate_json, iterate_lines
from textenv.datasets.formats.parquet_files import iterate_parquet
from textenv.datasets.formats.text_files import ReadOptions
from textenv.datasets.formats.xml_files import iterate_xml
from textenv.datasets.reading import Stream, Table
from textenv.datasets.row import Note, Part, Refused, Row
from textenv.errors import DatasetError, did_you_mean
from textenv.named_paths import named_path

# The line of each row, 0 where rows have none, and the row; or why it is none; or None for a line
# without any value; or a note on the file.
Reader = Callable[[Path, ReadOptions], Iterable[tuple[int, Row | str | Note | None]]]


def suffix_of(path: Path) -> str:
    """Returns how a file's name ends, without ".gz", in small letters."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def is_readable(path: Path) -> bool:
    """Tells whether a file's name ends like one that can be read."""
    return suffix_of(path) in READERS


def is_local_file(path: str) -> bool:
    """Tells whether a path is meant as a local file: it is one, or ends like one."""
    place = named_path(path)
    return place.is_file() or (is_readable(place) and not place.is_dir())


def read_files(name: str, paths: Sequence[Path], options: ReadOptions) -> Table:
    """Reads files, one after the other, as one table."""
    rows: list[Row] = []
    parts: list[Part] = []
    refused: list[Refused] = []
    notes: list[Note] = []
    layouts: dict[tuple[str, ...], None] = {}
    blank = 0
    above = _above(paths)
    for path in paths:
        _check_options(path, options)
        file = path.relative_to(above).as_posix()
        places = array("q")
        start, n_refused, number, line = len(rows), len(refused), 0, 0
        with _named_errors(path):
            for line, row in _reader_of(path)(path, options):
                number += 1
                if row is None:
                    blank += 1
                elif isinstance(row, Note):
                    notes.append(row)
                elif isinstance(row, str):
                    refused.append(_refused(file, line, number, row))
                else:
                    rows.append(row)
                    places.append(line or number)
        known = places if line or len(refused) > n_refused else None
        parts.append(Part(file, len(rows) - start, known, "line" if line else "row"))
        layouts |= dict.fromkeys(map(tuple, rows[start:]))
    columns = dict.fromkeys(column for layout in layouts for column in layout)
    return Table(
        name,
        tuple(columns),
        rows,
        parts=tuple(parts),
        refused=tuple(refused),
        blank=blank,
        cells=_are_cells(paths),
        notes=tuple(notes),
    )


def stream_files(name: str, paths: Sequence[Path], options: ReadOptions) -> Stream:
    """Opens JSON Lines, CSV or Parquet files to be read in order, else raises a DatasetError."""
    for path in paths:
        _check_options(path, options)
        if path.suffix.lower() not in _STREAMED:
            raise DatasetError(
                f"{path}: files that end in '{path.suffix}' cannot be streamed. "
                f"Use one of {', '.join(_STREAMED)}."
            )
        with _named_errors(path), path.open("rb"):
            pass
    own = len(paths) == 1 and suffix_of(paths[0]) == ".jsonl" and options.encoding is None
    rows = _Reread(tuple(paths), options)
    return Stream(name, None, rows, paths[0] if own else None, _are_cells(paths))


@dataclass(frozen=True)
class _Reread:
    """The rows of files, and what cannot be read of them, read again at every iteration."""

    paths: tuple[Path, ...]
    options: ReadOptions

    def __iter__(self) -> Iterator[Row | Refused | Note]:
        above = _above(self.paths)
        for path in self.paths:
            read: Reader = _stream_lines if suffix_of(path) == ".jsonl" else _reader_of(path)
            with _named_errors(path):
                for number, (line, row) in enumerate(read(path, self.options), start=1):
                    if isinstance(row, str):
                        yield _refused(path.relative_to(above).as_posix(), line, number, row)
                    elif row is not None:
                        yield row


def _above(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths]))


def _refused(file: str, line: int, number: int, reason: str) -> Refused:
    return Refused(f"{file}, line {line}" if line else f"{file}, row {number}", reason)


def _check_options(path: Path, options: ReadOptions) -> None:
    """Refuses keys that mean nothing to a file."""
    is_table, is_text = suffix_of(path) in (".csv", ".tsv"), suffix_of(path) != ".parquet"
    for key, given, fits in (
        ("delimiter", options.delimiter is not None, is_table),
        ("header", options.header is not None, is_table),
        ("quotes", not options.quotes, is_table),
        ("encoding", options.encoding is not None, is_text),
    ):
        if given and not fits and is_readable(path):
            raise DatasetError(f"The dataset key '{key}' has no meaning for {path}.")


def _are_cells(paths: Sequence[Path]) -> bool:
    return all(suffix_of(path) in (".csv", ".tsv") for path in paths)


def _stream_lines(path: Path, options: ReadOptions) -> Iterator[tuple[int, Row | str]]:
    for line, row, _ in iterate_lines(path, options):
        yield line, row


def _reader_of(path: Path) -> Reader:
    reader = READERS.get(suffix_of(path))
    if reader is None:
        raise DatasetError(
            f"{path}: files that end in '{path.suffix}' are not read. "
            f"Use one of {', '.join(READERS)}."
        )
    return reader


@contextlib.contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Says in our words why a file cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        siblings = [entry.name for entry in path.parent.glob("*") if is_readable(entry)]
        raise DatasetError(
            f"There is no file {path}.{did_you_mean(path.name, siblings)}"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        said = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path} cannot be read: {said}.") from error


_STREAMED = (".jsonl", ".csv", ".tsv", ".parquet")
READERS: Mapping[str, Reader] = {
    ".json": iterate_json,
    ".jsonl": iterate_json,
    ".csv": iterate_csv,
    ".tsv": iterate_csv,
    ".parquet": iterate_parquet,
    ".xml": iterate_xml,
}
