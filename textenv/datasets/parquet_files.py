"""Rows of Parquet files, whose numbers are given as they were written, as far as that is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from textenv.datasets.json_files import WrittenFloat
from textenv.datasets.reading import Note, Row
from textenv.datasets.text_files import ReadOptions
from textenv.errors import DatasetError

_BATCH = 1000
_EXACT = 2**53  # above, a double is not the only one that stands for a whole number


def iterate_parquet(path: Path, options: ReadOptions) -> Iterator[tuple[int, Row | Note]]:
    """Yields the rows; a note names the columns of floats of which some are whole."""
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
            numbers = Numbers({field.name: field.type for field in schema})
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    yield 0, numbers.written(row)
            for column in sorted(numbers.whole):
                yield (
                    0,
                    Note(
                        f"Column '{column}' of {path.name} holds floats, of which those that are "
                        "whole are read without a point: 7, not 7.0. Where the spelling matters, "
                        "write the column as text.",
                        column,
                    ),
                )
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not valid Parquet: {error}") from error


class Numbers:
    """Gives the numbers of typed columns their shortest spelling in their own precision.

    A float32 of 19.99 is 19.99, not the double 19.989999771118164. A whole float is a whole number,
    since Parquet and pandas make floats of 7 and of 7.0 alike; `whole` names the columns of such.
    """

    def __init__(self, types: Mapping[str, Any]) -> None:
        self.columns = {name: kind for name, kind in types.items() if _holds_numbers(kind)}
        self.whole: set[str] = set()

    def written(self, row: Row) -> Row:
        """Returns a row in which the numbers are as they were written."""
        if not self.columns:
            return row
        made = dict(row)
        for name, kind in self.columns.items():
            if made.get(name) is not None:
                made[name] = self._value(name, kind, made[name])
        return made

    def _value(self, name: str, kind: Any, value: Any) -> Any:
        import pyarrow.types as of

        if value is None:
            return None
        if of.is_struct(kind):
            types = {field.name: field.type for field in kind}
            return {key: self._value(name, types[key], inner) for key, inner in value.items()}
        if _is_list(kind):
            return [self._value(name, kind.value_type, item) for item in value]
        if isinstance(value, Decimal):
            return f"{value:f}"
        return self._float(name, kind, value) if of.is_floating(kind) else value

    def _float(self, name: str, kind: Any, value: float) -> float:
        short = _SHORT.get(str(kind), float)
        if not math.isfinite(value):
            return value
        if value.is_integer() and abs(value) < _EXACT:
            self.whole.add(name)
            return int(value)
        text = str(short(value))
        return float(text) if "e" in text else WrittenFloat(text)


_SHORT: Mapping[str, Callable[[float], Any]] = {"float": np.float32, "halffloat": np.float16}


def _is_list(kind: Any) -> bool:
    import pyarrow.types as of

    return bool(of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind))


def _holds_numbers(kind: Any) -> bool:
    """True for floats and decimals, and for lists and structs of such."""
    import pyarrow.types as of

    if of.is_struct(kind):
        return any(_holds_numbers(field.type) for field in kind)
    if _is_list(kind):
        return _holds_numbers(kind.value_type)
    return bool(of.is_floating(kind) or of.is_decimal(kind))
