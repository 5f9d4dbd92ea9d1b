"""Checks the keys of a `dataset=` mapping that names rows."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, PositiveInt, ValidationError
from pydantic.dataclasses import dataclass

from textenv.datasets.base import SPLITS
from textenv.datasets.columns import Column, Labels
from textenv.errors import DatasetError, UnknownNameError

# How many rows of a stream are kept unless "rows" says otherwise.
DEFAULT_ROWS = 10_000

Skip = Literal["missing", "unusable"]
_Names = Annotated[Sequence[str], Field(min_length=1)]


def _check_column(column: Column) -> Column:
    if isinstance(column, Mapping) and not any(isinstance(p, str) for p in column.values()):
        raise ValueError("no part of it is read from a column")
    return column


def _check_encoding(name: str) -> str:
    try:
        io.TextIOWrapper(io.BytesIO(), name)  # refuses codecs that are no encodings of text, too
    except LookupError as error:
        raise ValueError(f"there is no encoding {name}") from error
    return name


def _checked_path(path: str) -> str:
    """Refuses a path that names nothing on any disk."""
    try:
        named = bool(path.strip()) and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # half of a surrogate pair
        named = False
    if not named:
        raise DatasetError(
            f'The dataset\'s path {path!a} names nothing. Give a file, a folder ("." is the '
            "current one) or a Hugging Face id."
        )
    return path


def _check_delimiter(delimiter: str) -> str:
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise ValueError("it separates no cells")
    return delimiter


_Column = Annotated[str | _Names | Mapping[str, str | _Names], AfterValidator(_check_column)]
_WANTED = {
    "columns": "a mapping from the task's fields to columns",
    "labels": "a mapping from columns to lists of names, or to mappings from values to names",
    "join": "a mapping from the task's fields to texts",
    "fill": "a mapping from the task's fields to texts",
    "splits": "a mapping from our splits to the data set's, or to files",
    "skip": "'missing' or 'unusable'",
    "disjoint": "true or false",
    "delimiter": 'one character, such as ";" or "\\t"',
    "encoding": 'the name of an encoding, such as "utf-8", "cp1252" or "shift_jis"',
    "quotes": "true or false",
    "header": "a list of names of columns",
    "streaming": "true or false",
    "rows": "a whole number from 1 up, or null",
}


@dataclass(frozen=True, config=ConfigDict(strict=True))
class RowsSpec:
    """What `dataset=` asks for.

    Attributes:
        path: A local file or folder, or a Hugging Face id.
        columns: Field of the task -> column of the data, a path into one ("answers.text"), a list
            of columns, or records, zipped from lists. "id" may be mapped, too.
        labels: Column -> the names of its values: a list for 0, 1, ... (or false, true), or a
            mapping such as {"4": "positive", "0": "negative"}.
        join: Field -> what to put between the texts of a list, or of several columns, to make
            them one text.
        fill: Field -> the text that rows without a value get.
        group: A column whose equal values stay in one split (one document's questions, say).
        gather: A column whose equal values are one example: its rows' differing values (their
            references, say) become lists.
        skip: Kind of rows to leave out: "missing", those that lack a field which is required or
            named in `columns`; "unusable", all that cannot be read or that the task refuses. The
            report counts them. By default such a row is an error.
        disjoint: Whether to leave out the training rows whose prompt stands in a validation or
            test split that the data set declares. By default they are only counted.
        splits: Our split -> the data set's name for it, or the files of a folder (a name or a
            pattern such as "part_*.csv", or a list of them). If "train" is listed, those that are
            not are taken from the training rows, whatever the data set has under their names.
        split: The one split to read, which is then divided as a single file is.
        delimiter: Character between the cells of a CSV file. By default it is found out.
        encoding: Encoding of the files' text. By default UTF-8, or what a byte order mark says.
        quotes: Whether '"' may enclose cells of a CSV file. With false it is a character like any
            other.
        header: Names of the columns of CSV files that begin without them.
        name: Configuration of a hub data set, or folder of a local one.
        revision: Branch, tag or commit of a hub data set.
        streaming: Whether to read the rows in order, and keep `rows` of them on disk; for large
            sets.
        rows: Number of rows of a streamed split to keep; null keeps all.
    """

    path: str
    columns: Mapping[str, _Column] = field(default_factory=dict)
    labels: Mapping[str, Labels] = field(default_factory=dict)
    join: Mapping[str, str] = field(default_factory=dict)
    fill: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    gather: str | None = None
    skip: Skip | None = None
    disjoint: bool = False
    splits: Mapping[str, str | _Names] = field(default_factory=dict)
    split: str | None = None
    delimiter: Annotated[str, AfterValidator(_check_delimiter)] | None = None
    encoding: Annotated[str, AfterValidator(_check_encoding)] | None = None
    quotes: bool = True
    header: _Names | None = None
    name: str | None = None
    revision: str | None = None
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
            return cls(_checked_path(str(spec)))
        for key in spec:
            if key not in cls.__dataclass_fields__:
                raise UnknownNameError("dataset key", key, {*cls.__dataclass_fields__, "like"})
        if not isinstance(spec.get("path"), str | Path):
            raise DatasetError("The dataset mapping lacks 'path': a file or a Hugging Face id.")
        try:
            made = cls(**{**spec, "path": _checked_path(str(spec["path"]))})
        except ValidationError as error:
            key = str(error.errors()[0]["loc"][0])
            wanted = _WANTED.get(key, "a string")
            raise DatasetError(
                f"The dataset's '{key}' must be {wanted}, not {spec[key]!r}."
            ) from error
        if "rows" in spec and not made.streaming:
            raise DatasetError("The dataset key 'rows' goes with \"streaming\": true.")
        if made.streaming and made.disjoint:
            raise DatasetError(
                "The dataset key 'disjoint' compares all prompts, which a stream cannot. Leave "
                '"streaming" out.'
            )
        if made.streaming and made.gather is not None:
            raise DatasetError(
                f"The rows of '{made.path}' are gathered by '{made.gather}', for which all must "
                'be at hand: it cannot be streamed. Leave "streaming" out.'
            )
        for key in made.splits:
            if key not in SPLITS:
                raise UnknownNameError("split", key, SPLITS)
        return made
