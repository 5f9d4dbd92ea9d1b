"""Opens what a data set's path names: a file, a folder, a saved data set or one of the hub."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from textenv.datasets.base import SPLITS, Split
from textenv.datasets.folders import find_files, missing_shards, split_words
from textenv.datasets.formats.files import is_local_file
from textenv.datasets.formats.text_files import ReadOptions
from textenv.datasets.matching import match_columns
from textenv.datasets.named import hint_of, offline_advice
from textenv.datasets.reading import Stream, Table, is_saved
from textenv.datasets.row import Row
from textenv.datasets.rows import RowReader
from textenv.datasets.spec import RowsSpec
from textenv.errors import DatasetError, TextEnvError, did_you_mean
from textenv.named_paths import named_path
from textenv.tasks.base import Task

S = TypeVar("S", Table, Stream)

_LISTED = 12  # files that are named in a note


@dataclass(frozen=True)
class Opened(Generic[S]):
    """The splits that a source declares; one that declares none is all "train"."""

    splits: Mapping[Split, S]
    notes: tuple[str, ...]  # What was left aside


def open_source(
    source: RowsSpec,
    task: Task,
    from_files: Callable[[str, Sequence[Path], ReadOptions], S],
    from_hub: Callable[..., Mapping[str, S]],
) -> Opened[S]:
    """Reads, or opens to be streamed, the splits of a source.

    Raises:
        DatasetError: There is no such file, folder or set, or its splits are not plain.
    """
    path = named_path(source.path)
    notes: tuple[str, ...] = ()
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DatasetError(
            f"{path} is a pipe or a device, and a data set is read more than once. Write the rows "
            "to a file."
        )
    if is_local_file(str(path)):
        _refuse_keys(source, ("name", "revision", "split"), "a local file")
        stem = path.name.removesuffix(".gz").rpartition(".")[0]
        if missing := missing_shards([path]):
            notes = (f"{path.name} is one of several files. Not read: {_listed(missing)}.",)
        notes += _divided(path.name, path.name)
        return Opened({"train": from_files(stem, [path], _options(source, task))}, notes)
    if path.is_dir() and not is_saved(path):
        _refuse_keys(source, ("revision",), "a local folder")
        files = find_files(path, source.name, source.splits)
        asked = _asked(source, files.splits)
        tables = {
            name: from_files(f"{path.name}/{name}", paths, _options(source, task))
            for name, paths in files.splits.items()
            if asked in (None, name)
        }
        for name in tables:
            missing = missing_shards(files.splits[name])
            if missing and not files.chosen:
                raise DatasetError(
                    f"Files of '{name}' are missing in {path}: {_listed(missing)}. Add them, or "
                    f'name those to read: {{"path": ..., "splits": {{"{name}": "*-of-*"}}}}.'
                )
            if missing:
                notes = (*notes, f"Files of '{name}' are missing: {_listed(missing)}.")
        for name, paths in files.splits.items():
            if len({file.parent for file in paths}) > 1:
                listed = _listed([file.relative_to(path).as_posix() for file in paths])
                notes = (*notes, f"'{name}' is read from several folders: {listed}.")
        inside = [file.relative_to(path) for paths in files.splits.values() for file in paths]
        if not source.splits and not any(split_words(str(file)) for file in inside):
            outer = path.resolve().name
            notes += _divided(outer, "**") if outer.isalpha() else ()
        if files.ignored:
            notes = (*notes, f"Not read: {_listed(files.ignored)}.")
    elif not path.is_dir() and source.path.startswith(("/", ".", "~")):
        raise DatasetError(f"There is no file or folder {path}.")
    else:
        _refuse_keys(source, ("delimiter", "encoding", "header"), "a data set of the hub")
        advice = offline_advice(source.path, task)
        tables = dict(
            from_hub(
                source.path,
                name=source.name,
                revision=source.revision,
                split=source.split,
                advice=advice + ("" if source.columns else hint_of(source.path)),
            )
        )
    own = _own_names(source, tables)
    if own.keys() == {"train"} and source.split is None and not source.splits:
        (name,) = own.values()
        notes += _divided(name, name)
    aside = [name for name in tables if name not in own.values()]
    if aside:
        notes = (*notes, f"Splits that are not read: {_listed(aside)}.")
    return Opened({split: tables[name] for split, name in own.items()}, notes)


def _divided(name: str, kept: str) -> tuple[str, ...]:
    """Says that rows which their name holds out of training are divided, as all rows are."""
    words = split_words(name)
    if not words or "train" in words.values():
        return ()
    word, split = next(iter(words.items()))
    return (
        f"All rows come from '{name}', whose name says {word}, and are divided into train, "
        "validation and test. To keep them whole, name them in their folder: "
        f'{{"path": ..., "splits": {{"{split}": "{kept}"}}}}.',
    )


def _asked(source: RowsSpec, splits: Collection[str]) -> str | None:
    """Returns the one split of a folder that is to be read, None for all."""
    if source.split is None:
        return None
    for name in (source.split, *split_words(source.split).values()):
        if name in splits:
            return name
    raise DatasetError(
        f"Dataset '{source.path}' has no split '{source.split}'."
        + did_you_mean(source.split, splits)
    )


def no_split(source: RowsSpec, split: Split, opened: Opened[Any]) -> DatasetError:
    """Says that no split of a source can serve as the one that is asked for."""
    return DatasetError(
        f"None of the splits {', '.join(opened.splits)} of '{source.path}' can serve as '{split}'. "
        'Name the one to read and to divide: {"path": ..., "split": ...}; or the training rows: '
        '{"path": ..., "splits": {"train": ...}}.'
    )


def _own_names(source: RowsSpec, names: Collection[str]) -> dict[Split, str]:
    """Returns the data set's name for each of our splits that it declares."""
    if len(names) == 1 and (source.split is not None or not source.splits):
        return {"train": next(iter(names))}
    if len(names) == 1:  # a copy may hold one split alone
        (name,) = names
        named = {
            ours: name
            for ours, theirs in source.splits.items()
            if name == ours
            or (isinstance(theirs, str) and name in (theirs, *split_words(theirs).values()))
        }
        if named:
            return {ours: name for ours in SPLITS if ours in named}
    if source.splits:
        return {ours: _named(source, ours, names) for ours in SPLITS if ours in source.splits}
    own: dict[Split, str] = {}
    for name in names:
        found = set(split_words(name).values())
        if len(found) != 1:
            continue
        split = found.pop()
        if split in own:
            raise DatasetError(
                f"Dataset '{source.path}' has the splits {', '.join(names)}, of which "
                f"'{own[split]}' and '{name}' may be '{split}'. Say which is which: "
                f'{{"path": ..., "splits": {{"{split}": "{name}"}}}}.'
            )
        own[split] = name
    return own


def _named(source: RowsSpec, ours: Split, names: Collection[str]) -> str:
    """Returns the data set's split that a user, or the entry of a known set, names."""
    theirs = source.splits[ours]
    if isinstance(theirs, str):
        # The splits of a folder go by our names, whatever its files' names say.
        for name in (theirs, *split_words(theirs).values()):
            if name in names:
                return name
    if ours in names:  # found by patterns of files
        return ours
    raise DatasetError(
        f"Dataset '{source.path}' has no split '{theirs}', only {', '.join(names)}. "
        'Say which is which: {"path": ..., "splits": {"test": ...}}.'
    )


def _refuse_keys(source: RowsSpec, keys: Sequence[str], what: str) -> None:
    for key in keys:
        if getattr(source, key) is not None:
            raise DatasetError(f"The dataset key '{key}' has no meaning for {what}.")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _options(source: RowsSpec, task: Task) -> ReadOptions:
    """Returns how the files of a source are read, and what a row of the task looks like."""
    known: dict[frozenset[str], bool] = {}

    def fits(columns: Collection[str]) -> bool:
        names = frozenset(columns)
        if names not in known:
            try:
                known[names] = bool(match_columns(source, task, "", names).fields.columns)
            except TextEnvError:
                known[names] = False
        return known[names]

    def usable(row: Row) -> bool:
        try:
            reader = RowReader(task, match_columns(source, task, "", row.keys()))
            reader.read(Table("", tuple(row), [row]), (0,), (row,))
        except TextEnvError:
            return False
        return True

    return ReadOptions(
        source.encoding, source.delimiter, source.quotes, source.header, fits, usable
    )
