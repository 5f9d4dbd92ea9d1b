"""Rows of Parquet files, and the spelling of numbers in columns of types."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from textenv.datasets.formats.json_files import WrittenFloat
from textenv.datasets.formats.text_files import ReadOptions, bomb, most_unpacked
from textenv.datasets.row import Note, Row
from textenv.errors import DatasetError

_BATCH = 100  # rows at a time; each may be a value that the file holds once


def iterate_parquet(path: Path, options: ReadOptions) -> Iterator[tuple[int, Row | Note]]:
    """Yields the rows, and a note on each column of floats of which some are whole."""
    import pyarrow
    import pyarrow.parquet

    if path.suffix.lower() == ".gz":
        raise DatasetError(f"{path}: unpack it; Parquet is packed by itself.")
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            twice = [name for name in schema.names if schema.names.count(name) > 1]
            if twice:
                raise DatasetError(
                    f"{path}: several columns are named '{twice[0]}'. Give each a name of its own."
                )
            _check_packing(path, file.metadata)
            batches = _bounded(path, file.iter_batches(batch_size=_BATCH))
            rows = (row for batch in batches for row in batch.to_pylist())
            for row in Numbers(schema).spelled(rows):
                yield 0, row
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not valid Parquet: {error}") from error


def _check_packing(path: Path, metadata: Any) -> None:
    """Refuses a file with rows that unpack to far more than text does."""
    for place in range(metadata.num_row_groups):
        if metadata.row_group(place).total_byte_size > most_unpacked(path):
            raise bomb(path)


def _bounded(path: Path, batches: Iterable[Any]) -> Iterator[Any]:
    """Yields batches of rows until they are far larger than their file: it repeats one value."""
    size, most = 0, most_unpacked(path)
    for batch in batches:
        size += batch.nbytes
        if size > most:
            raise bomb(path)
        yield batch


class Numbers:
    """Gives the numbers of typed columns their shortest spelling in their own precision.

    A float32 of 19.99 is 19.99, not the double 19.989999771118164. A whole float is a whole number,
    since Parquet and pandas make floats of 7 and of 7.0 alike; the notes name columns of such.
    """

    def __init__(self, schema: Any) -> None:
        spellers = {field.name: self._speller(field.name, field.type) for field in schema}
        self.columns = {name: speller for name, speller in spellers.items() if speller}
        self.notes: list[Note] = []

    def spelled(self, rows: Iterable[Row]) -> Iterator[Row | Note]:
        """Yields rows whose numbers are as they were written, and each note once."""
        n_noted = 0
        for row in rows:
            if not self.columns:
                yield row
                continue
            yield {name: self._column(name, value) for name, value in row.items()}
            yield from self.notes[n_noted:]
            n_noted = len(self.notes)

    def batch(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Returns columns whose numbers are as they were written, for `datasets`."""
        return {
            name: [self._column(name, value) for value in values]
            for name, values in columns.items()
        }

    def _column(self, name: str, value: Any) -> Any:
        speller = self.columns.get(name)
        return value if speller is None or value is None else speller(value)

    def _speller(self, name: str, kind: Any) -> Callable[[Any], Any] | None:
        """Returns what spells the values of a type; None if it holds no such numbers."""
        import pyarrow.types as of

        if of.is_struct(kind):
            inner = {field.name: self._speller(name, field.type) for field in kind}
            return partial(_spell_struct, inner) if any(inner.values()) else None
        if of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind):
            each = self._speller(name, kind.value_type)
            return partial(_spell_list, each) if each else None
        if of.is_dictionary(kind):
            return self._speller(name, kind.value_type)
        if of.is_floating(kind):
            return partial(self._spell_float, name, *_PRECISIONS.get(str(kind), (float, 2**53)))
        return "{:f}".format if of.is_decimal(kind) else None

    def _spell_float(
        self, name: str, short: Callable[[float], Any], exact: int, value: float
    ) -> float:
        if not math.isfinite(value):
            return value
        text = str(short(value))
        if value.is_integer() and abs(value) < exact:
            if all(note.column != name for note in self.notes):
                said = "holds floats, of which those that are whole are read without a point"
                advice = "Where the spelling matters, write the column as text."
                self.notes.append(Note(f"Column '{name}' {said}: 7, not 7.0. {advice}", name))
            return int(value)
        return float(text) if "e" in text or value.is_integer() else WrittenFloat(text)


def _spell_struct(
    spellers: Mapping[str, Callable[[Any], Any] | None], value: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        key: inner if inner is None or (speller := spellers[key]) is None else speller(inner)
        for key, inner in value.items()
    }


def _spell_list(speller: Callable[[Any], Any], value: Sequence[Any]) -> list[Any]:
    return [None if item is None else speller(item) for item in value]


# A precision's type, and up to which whole number it tells all apart
_PRECISIONS: Mapping[str, tuple[Callable[[float], Any], int]] = {
    "float": (np.float32, 2**24),
    "halffloat": (np.float16, 2**11),
}
