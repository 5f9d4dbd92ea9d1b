"""Checks the keys of a `dataset=` mapping that names rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, PositiveInt, ValidationError
from pydantic.dataclasses import dataclass

from textenv.datasets.base import SPLITS
from textenv.datasets.columns import Column
from textenv.errors import DatasetError, UnknownNameError

# How many rows of a stream are kept unless "rows" says otherwise.
DEFAULT_ROWS = 10_000

Skip = Literal["missing", "unusable"]
_Names = Annotated[Sequence[str], Field(min_length=1)]


def _check_column(column: Column) -> Column:
    if not isinstance(column, str) and not any(isinstance(part, str) for part in column.values()):
        raise ValueError("no part of it is read from a column")
    return column


_Column = Annotated[str | Mapping[str, str | _Names], AfterValidator(_check_column)]
_WANTED = {
    "columns": "a mapping from the task's fields to columns",
    "labels": "a mapping from columns to lists of names",
    "join": "a mapping from the task's fields to texts",
    "fill": "a mapping from the task's fields to texts",
    "splits": "a mapping from our splits to the data set's",
    "skip": "'missing' or 'unusable'",
    "streaming": "true or false",
    "rows": "a whole number from 1 up, or null",
}


@dataclass(frozen=True, config=ConfigDict(strict=True))
class RowsSpec:
    """What `dataset=` asks for.

    Attributes:
        path: A local file or folder, or a Hugging Face id.
        columns: Field of the task -> column of the data; see `FieldMap`. "id" may be mapped, too.
        labels: Column -> the names of its whole numbers; see `FieldMap`.
        join: Field -> what to put between the texts of a list; see `FieldMap`.
        fill: Field -> the text that rows without a value get.
        group: A column whose equal values stay in one split (one document's questions, say).
        gather: A column whose equal values are one example: its rows' differing values (their
            references, say) become lists. They stay in one split.
        skip: Kind of rows to leave out: "missing", those that lack a field which is required or
            named in `columns`; "unusable", all that the task refuses, for which every row is read
            first.
        name: Configuration of a hub data set.
        revision: Its branch, tag or commit.
        split: Its one split to read, which is then divided as a single file is.
        splits: Our split -> the data set's name for it. Those that are not listed are taken from
            the training rows, whatever the data set has under their names.
        streaming: Read the rows in order, and keep `rows` of them on disk; for large sets.
        rows: Number of rows of a streamed split to keep; None keeps all.
    """

    path: str
    columns: Mapping[str, _Column] = field(default_factory=dict)
    labels: Mapping[str, _Names] = field(default_factory=dict)
    join: Mapping[str, str] = field(default_factory=dict)
    fill: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    gather: str | None = None
    skip: Skip | None = None
    name: str | None = None
    revision: str | None = None
    split: str | None = None
    splits: Mapping[str, str] = field(default_factory=dict)
    streaming: bool = False
    rows: PositiveInt | None = DEFAULT_ROWS

    @classmethod
    def parse(cls, spec: str | Path | Mapping[str, Any]) -> RowsSpec:
        """Checks a path, a Hugging Face id, or a mapping of the attributes.

        Raises:
            UnknownNameError: The mapping has an unknown key.
            DatasetError: The path is missing, or a value has the wrong type.
        """
        if not isinstance(spec, Mapping):
            if not isinstance(spec, str | Path):
                raise DatasetError(
                    f"dataset is a name, a path, or a mapping with 'path', not {spec!r}."
                )
            return cls(str(spec))
        for key in spec:
            if key not in cls.__dataclass_fields__:
                raise UnknownNameError("dataset key", key, {*cls.__dataclass_fields__, "like"})
        if not isinstance(spec.get("path"), str | Path):
            raise DatasetError("The dataset mapping lacks 'path': a file or a Hugging Face id.")
        try:
            made = cls(**{**spec, "path": str(spec["path"])})
        except ValidationError as error:
            key = str(error.errors()[0]["loc"][0])
            wanted = _WANTED.get(key, "a string")
            raise DatasetError(
                f"The dataset's '{key}' must be {wanted}, not {spec[key]!r}."
            ) from error
        if "rows" in spec and not made.streaming:
            raise DatasetError("The dataset key 'rows' goes with \"streaming\": true.")
        if made.streaming and made.gather is not None:
            raise DatasetError(
                f"The rows of '{made.path}' are gathered by '{made.gather}', for which all must "
                'be at hand: it cannot be streamed. Leave "streaming" out.'
            )
        for key in made.splits:
            if key not in SPLITS:
                raise UnknownNameError("split", key, SPLITS)
        return made
