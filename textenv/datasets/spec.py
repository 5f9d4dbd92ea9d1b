"""Checks the keys of a `dataset=` mapping that names rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from textenv.datasets.base import SPLITS
from textenv.datasets.columns import Column
from textenv.errors import DatasetError, UnknownNameError

# How many rows of a stream are kept unless "rows" says otherwise.
DEFAULT_ROWS = 10_000

Skip = Literal["missing", "unusable"]


@dataclass(frozen=True)
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
    columns: Mapping[str, Column] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
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
    rows: int | None = DEFAULT_ROWS

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
        for key, value in spec.items():
            if key not in cls.__dataclass_fields__:
                raise UnknownNameError("dataset key", key, {*cls.__dataclass_fields__, "like"})
            is_valid, wanted = _KINDS.get(key, (_is_name, "a string"))
            if not is_valid(value):
                raise DatasetError(f"The dataset's '{key}' must be {wanted}, not {value!r}.")
        if not isinstance(spec.get("path"), str | Path):
            raise DatasetError("The dataset mapping lacks 'path': a file or a Hugging Face id.")
        made = cls(**{**spec, "path": str(spec["path"])})
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


def _is_name(value: object) -> bool:
    return value is None or isinstance(value, str | Path)


def _is_mapping_of(is_valid: Callable[[Any], bool]) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        return isinstance(value, Mapping) and all(
            isinstance(key, str) and is_valid(item) for key, item in value.items()
        )

    return check


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_text, value))


def _is_column(value: object) -> bool:
    if not isinstance(value, Mapping):
        return _is_text(value)
    parts = list(value.values())
    return any(map(_is_text, parts)) and all(_is_text(p) or _are_texts(p) for p in parts)


# Key of the mapping -> what a value must be, and how that is said.
_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "columns": (_is_mapping_of(_is_column), "a mapping from the task's fields to columns"),
    "labels": (_is_mapping_of(_are_texts), "a mapping from columns to lists of names"),
    "join": (_is_mapping_of(_is_text), "a mapping from the task's fields to texts"),
    "fill": (_is_mapping_of(_is_text), "a mapping from the task's fields to texts"),
    "splits": (_is_mapping_of(_is_text), "a mapping from our splits to the data set's"),
    "skip": (lambda value: value in (None, *get_args(Skip)), "'missing' or 'unusable'"),
    "streaming": (lambda value: isinstance(value, bool), "true or false"),
    "rows": (
        lambda value: (
            value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)
        ),
        "a whole number from 1 up, or null",
    ),
}
