"""Reads local files of rows: JSON, JSON Lines, CSV and Parquet.

All but Parquet are read with the standard library rather than through `datasets`: values stay as
they are written (a CSV answer "007" or "None" is that text, not a number or nothing; a JSON column
may mix types), an error can name its line, and no copy is left in a cache. Parquet has types of
its own.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from textenv.datasets.reading import Row, Rows, Stream, Table
from textenv.errors import DatasetError, did_you_mean

# Start and end of a line in its file, in bytes.
Span = tuple[int, int]

_LONGEST_CSV_CELL = 2**31 - 1
_BATCH = 1000
_BOM = "\ufeff"


def is_local_file(path: str) -> bool:
    """Tells whether a path is meant as a local file: it is one, or ends like one."""
    return Path(path).is_file() or Path(path).suffix.lower() in _READERS


def read_file(path: Path) -> Table:
    """Reads a JSON, JSON Lines, CSV or Parquet file; errors name the line."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(
            f"{path}: files that end in '{path.suffix}' are not read. "
            f"Use one of {', '.join(_READERS)}."
        )
    with _named_errors(path):
        rows = reader(path)
    columns = dict.fromkeys(column for row in rows for column in row)
    return Table(path.stem, tuple(columns), rows)


def stream_file(path: Path) -> Stream:
    """Opens a JSON Lines, CSV or Parquet file to be read in order, else raises a DatasetError."""
    suffix = path.suffix.lower()
    if suffix not in _STREAMERS:
        raise DatasetError(
            f"{path}: files that end in '{path.suffix}' cannot be streamed. "
            f"Use one of {', '.join(_STREAMERS)}."
        )
    with _named_errors(path), path.open("rb"):
        pass
    rows = _Reread(path, _STREAMERS[suffix])
    return Stream(path.stem, None, rows, path if suffix == ".jsonl" else None)


@dataclass(frozen=True)
class _Reread:
    """The rows of a file, read again at every iteration."""

    path: Path
    read: Callable[[Path], Iterator[Row]]

    def __iter__(self) -> Iterator[Row]:
        with _named_errors(self.path):
            yield from self.read(self.path)


@contextlib.contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Says in our words why a file cannot be read."""
    try:
        yield
    except FileNotFoundError as error:
        siblings = [entry.name for entry in path.parent.glob("*") if entry.suffix in _READERS]
        raise DatasetError(
            f"There is no file {path}.{did_you_mean(path.name, siblings)}"
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read_json(path: Path) -> Rows:
    text = path.read_text(encoding="utf-8-sig")
    if text.lstrip()[:1] != "[":
        return list(_iterate_jsonl(path))  # JSON Lines often goes by the name .json too
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}, line {error.lineno}: not valid JSON: {error.msg}.") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DatasetError(
                f"{path}, row {number}: found a {type(row).__name__}. "
                "Each row must be an object of columns."
            )
    return list(rows)


def iterate_lines(path: Path) -> Iterator[tuple[Row, Span]]:
    """Yields the rows of a file of JSON lines, and where each stands; errors name the line."""
    start = 0
    with path.open("rb") as lines:  # bytes, so that spans are exact and only \n ends a line
        for number, line in enumerate(lines, start=1):
            span = start, start + len(line)
            start = span[1]
            try:
                text = line.decode("utf-8").removeprefix(_BOM if number == 1 else "")
            except UnicodeDecodeError as error:
                at = span[0] + error.start
                raise DatasetError(
                    f"{path}, line {number}: not UTF-8 text (byte {at} of the file)."
                ) from error
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except json.JSONDecodeError as error:
                raise DatasetError(
                    f"{path}, line {number}: not valid JSON: {error.msg}. The file must hold one "
                    "object a line, or one list of objects."
                ) from error
            if not isinstance(row, dict):
                raise DatasetError(
                    f"{path}, line {number}: found a {type(row).__name__}. "
                    "Each line must be an object of columns."
                )
            yield row, span


def _iterate_jsonl(path: Path) -> Iterator[Row]:
    for row, _ in iterate_lines(path):
        yield row


def _iterate_csv(path: Path) -> Iterator[Row]:
    previous_limit = csv.field_size_limit(_LONGEST_CSV_CELL)
    count = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise DatasetError(
                        f"{path}, line {reader.line_num}: the row has another number of cells "
                        "than the header. Quote cells that hold commas or line breaks."
                    )
                count += 1
                yield row
    except csv.Error as error:
        raise DatasetError(f"{path}, row {count + 1}: not valid CSV: {error}.") from error
    finally:
        csv.field_size_limit(previous_limit)


def _iterate_parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise DatasetError(f"{path}: not valid Parquet: {error}") from error


_STREAMERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _iterate_jsonl,
    ".csv": _iterate_csv,
    ".parquet": _iterate_parquet,
}
_READERS: Mapping[str, Callable[[Path], Rows]] = {
    ".json": _read_json,
    ".jsonl": lambda path: list(_iterate_jsonl(path)),
    ".csv": lambda path: list(_iterate_csv(path)),
    ".parquet": lambda path: list(_iterate_parquet(path)),
}
