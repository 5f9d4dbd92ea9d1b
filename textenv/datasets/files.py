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

from textenv.datasets.csv_files import iterate_csv
from textenv.datasets.json_files import iterate_json, iterate_lines
from textenv.datasets.reading import Part, Refused, Row, Stream, Table
from textenv.datasets.text_files import ReadOptions
from textenv.datasets.xml_files import iterate_xml
from textenv.errors import DatasetError, did_you_mean

# The line of each row, 0 where rows have none, and the row; or why it is none; or None for a line
# without any value.
Reader = Callable[[Path, ReadOptions], Iterable[tuple[int, Row | str | None]]]

_BATCH = 1000


def suffix_of(path: Path) -> str:
    """Returns how a file's name ends, without ".gz", in small letters."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def is_readable(path: Path) -> bool:
    """Tells whether a file's name ends like one that can be read."""
    return suffix_of(path) in READERS


def is_local_file(path: str) -> bool:
    """Tells whether a path is meant as a local file: it is one, or ends like one."""
    return Path(path).is_file() or (is_readable(Path(path)) and not Path(path).is_dir())


def read_files(name: str, paths: Sequence[Path], options: ReadOptions) -> Table:
    """Reads files, one after the other, as one table."""
    rows: list[Row] = []
    parts: list[Part] = []
    refused: list[Refused] = []
    layouts: dict[tuple[str, ...], None] = {}
    blank = 0
    above = Path(os.path.commonpath([path.parent for path in paths]))
    for path in paths:
        _check_options(path, options)
        file = path.relative_to(above).as_posix()
        lines = array("q")
        start = len(rows)
        with _named_errors(path):
            for line, row in _reader_of(path)(path, options):
                if row is None:
                    blank += 1
                elif isinstance(row, str):
                    place = f", line {line}" if line else ""
                    refused.append(Refused(f"{file}{place}", row))
                else:
                    rows.append(row)
                    lines.append(line)
        numbered = lines if len(lines) and lines[-1] else None
        parts.append(Part(file, len(rows) - start, numbered))
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
    """The rows of files, read again at every iteration; one that cannot be read is an error."""

    paths: tuple[Path, ...]
    options: ReadOptions

    def __iter__(self) -> Iterator[Row]:
        for path in self.paths:
            read: Reader = _stream_lines if suffix_of(path) == ".jsonl" else _reader_of(path)
            with _named_errors(path):
                for line, row in read(path, self.options):
                    if isinstance(row, str):
                        raise DatasetError(f"{path}, line {line}: {row}.")
                    if row is not None:
                        yield row


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


def _iterate_parquet(path: Path, options: ReadOptions) -> Iterator[tuple[int, Row]]:
    import pyarrow
    import pyarrow.parquet

    if path.suffix.lower() == ".gz":
        raise DatasetError(f"{path}: unpack it; Parquet is packed by itself.")
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            twice = [
                name for name in file.schema_arrow.names if file.schema_arrow.names.count(name) > 1
            ]
            if twice:
                raise DatasetError(
                    f"{path}: several columns are named '{twice[0]}'. Give each a name of its own."
                )
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    yield 0, row
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not valid Parquet: {error}") from error


_STREAMED = (".jsonl", ".csv", ".tsv", ".parquet")
READERS: Mapping[str, Reader] = {
    ".json": iterate_json,
    ".jsonl": iterate_json,
    ".csv": iterate_csv,
    ".tsv": iterate_csv,
    ".parquet": _iterate_parquet,
    ".xml": iterate_xml,
}
