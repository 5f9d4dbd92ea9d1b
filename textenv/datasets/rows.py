"""The rows of a table as a dataset: examples that are built when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from textenv.datasets.columns import Column, is_missing, merge, paths_of, plain, value_at
from textenv.datasets.matching import Matched
from textenv.datasets.reading import Table
from textenv.datasets.report import LoadReport
from textenv.datasets.row import Row
from textenv.errors import DatasetError
from textenv.examples import Example
from textenv.tasks.base import Task


class Read(NamedTuple):
    """One row, or several gathered ones, as the task takes them."""

    example: Example
    values: Mapping[str, Any]  # of the task's fields
    mended: bool  # whether a half of a character was replaced


@dataclass(frozen=True)
class RowReader:
    """Turns rows of a table into examples of a task."""

    task: Task
    matched: Matched

    def example(self, table: Table, rows: Sequence[int]) -> Example:
        """Builds the example of a row, or of several gathered ones; errors name the row."""
        return self.read(table, rows, [table.rows[row] for row in rows]).example

    def read(self, table: Table, indices: Sequence[int], rows: Sequence[Row]) -> Read:
        """Builds the example of rows that were read, of which the indices are given.

        Halves of characters are replaced by U+FFFD: nothing that follows could write them.
        """
        id = self.id_of(table, indices[0], rows[0])
        try:
            values = self._values(rows)
            plain = all(isinstance(v, str) and v.isascii() for v in values.values())
            if is_mended := not plain and has_half_characters(values):
                values = mended(values)
            return Read(self.task.example(id, values), values, is_mended)
        except DatasetError as error:
            where = table.where(indices[0])
            differing = ", ".join(map(repr, self._differing(rows)))
            hint = f" The {len(rows)} rows that are gathered here differ in {differing}."
            raise DatasetError(
                f"{where} (id '{id}'): {error}{hint if differing else ''}"
            ) from error

    def id_of(self, table: Table, index: int, row: Row) -> str:
        """Returns the id of a row: its own, else one of its number."""
        given = value_at(row, self.matched.id)
        id = f"{table.name}/{table.number(index)}" if is_missing(given) else str(given)
        return mended(id) if has_half_characters(id) else id

    def _values(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Returns the fields of a row, or of several merged ones; a missing one is an error."""
        fields = self.matched.fields
        values = fields.values(rows[0])
        if len(rows) > 1:
            values = merge([values, *map(fields.values, rows[1:])])
        for wanted in self.task.fields:
            if wanted.required and wanted.name not in values:
                column = fields.columns.get(wanted.name)
                given = value_at(rows[0], column) if isinstance(column, str) else None
                if given == [] and wanted.takes == "texts":
                    values[wanted.name] = []  # the task may know what stands for no answer
                    continue
                raise DatasetError(
                    f"{_said(column)} no value for '{wanted.name}'. Fill it in, or leave the row "
                    "out."
                )
        return values

    def _differing(self, rows: Sequence[Row]) -> list[str]:
        """Returns the fields of one text that have several in gathered rows."""
        names = [wanted.name for wanted in self.task.fields if wanted.takes == "text"]
        try:
            values = [self.matched.fields.values(row) for row in rows[1:] and rows]
        except DatasetError:
            return []
        return [name for name in names if len({str(plain(row.get(name))) for row in values}) > 1]

    def lacks(self, row: Row) -> str | None:
        """Returns the first needed field that a row has no value in, if there is one.

        A row whose fields cannot be read lacks none: that is for `read` to say.
        """
        try:
            values = self.matched.fields.values(row)
        except DatasetError:
            return None
        return next((name for name in sorted(self.matched.needed) if name not in values), None)


@dataclass(frozen=True)
class RowsDataset:
    """One split of a table; rows become examples when they are asked for."""

    reader: RowReader
    table: Table
    indices: Sequence[int]  # of the rows of this split; gathered rows are neighbours
    # Positions in `indices` at which each example's rows start, and, last, their number
    starts: Sequence[int]
    report: LoadReport  # What became of all rows

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> Example:
        """The example at `index`; a DatasetError names a row that cannot be used."""
        if not 0 <= index < len(self):
            raise IndexError(f"There is no example {index}: there are {len(self)}.")
        members = self.indices[self.starts[index] : self.starts[index + 1]]
        return self.reader.example(self.table, [int(row) for row in members])


def _said(column: Column | None) -> str:
    paths = [f"'{path}'" for path in paths_of(column or ())]
    return f"columns {', '.join(paths)} have" if len(paths) > 1 else f"column {paths[0]} has"


def has_half_characters(value: object) -> bool:
    """True if a text anywhere in a value holds half of a surrogate pair, which JSON may spell."""
    if isinstance(value, str):
        if value.isascii():
            return False
        try:
            value.encode()
        except UnicodeEncodeError:
            return True
        return False
    if isinstance(value, Mapping):
        return any(map(has_half_characters, value)) or any(map(has_half_characters, value.values()))
    return isinstance(value, list | tuple) and any(map(has_half_characters, value))


def mended(value: Any) -> Any:
    """Returns a value in whose texts U+FFFD stands for every half of a surrogate pair."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {mended(key): mended(inner) for key, inner in value.items()}
    return [mended(item) for item in value] if isinstance(value, list | tuple) else value
