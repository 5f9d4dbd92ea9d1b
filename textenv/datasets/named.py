"""Resolves the name of a well-known data set into the keys that read it for a task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textenv.datasets.catalog import NAMED, PROCEDURAL, NamedDataset
from textenv.datasets.columns import Column
from textenv.errors import DatasetError, UnknownNameError, did_you_mean
from textenv.named_paths import named_path
from textenv.tasks.base import Task


def resolve_named(options: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """Writes out a mapping whose "path" is a known name, or that is "like" one, for `RowsSpec`.

    What the user wrote overrides the entry's keys, and adds to its columns. Raises an error if the
    set is not known, does not suit the task, or has no such configuration.
    """
    given = dict(options)
    like = given.pop("like", None)
    name = given["path"] if like is None else like
    if not isinstance(name, str) or name not in NAMED:
        raise UnknownNameError("named dataset", name, NAMED)
    entry = NAMED[name]
    _check_task(name, entry, task)
    known = {wanted.name for wanted in task.fields} | {"id"}
    spec: dict[str, Any] = {"skip": "missing", **entry.options}
    for key in ("fill", "join"):
        if key in spec:
            texts = {field: text for field, text in spec[key].items() if field in known}
            spec[key] = _filled_in(texts, task)
    columns = {key: value for key, value in entry.columns.items() if key in known}
    spec["splits"] = dict(entry.splits)
    if like is None:
        given["path"] = entry.path
        spec["revision"] = entry.revision
        spec["name"] = _configuration(name, entry, task, given.pop("name", None))
    else:
        spec |= _local_source(name, entry, task, given)
    spec["columns"] = _filled_in(columns, task)
    if isinstance(given.get("columns"), Mapping):  # else it is refused where all keys are checked
        given["columns"] = {**spec["columns"], **given["columns"]}
    merged = {**spec, **given}
    if not merged.get("streaming") and "rows" not in given:
        merged.pop("rows", None)
    return merged


def _local_source(
    name: str, entry: NamedDataset, task: Task, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the keys that differ for a copy: it is all there, and may hold one split alone."""
    if not isinstance(given.get("path"), str | Path):
        raise DatasetError(
            f'A dataset that is like "{name}" needs a "path": the file or folder that is read.'
        )
    folder = named_path(given["path"])
    if not folder.exists():
        raise DatasetError(
            f'There is no file or folder {folder} to be read like "{name}". Without "like", '
            f'{{"path": "{name}"}} reads it from the Hugging Face Hub.'
        )
    own: dict[str, Any] = {"streaming": False}
    chosen = _configuration(name, entry, task, given.get("name"))
    if chosen is not None and (folder / chosen).is_dir():
        own["name"] = chosen
    return own


def _configuration(name: str, entry: NamedDataset, task: Task, asked: str | None) -> str | None:
    """Returns the configuration to read: the one that is asked for, or the task's languages'."""
    languages = _languages(task)
    if asked is None and entry.pair is None:
        return entry.name
    known = entry.configurations or ((entry.name,) if entry.name else ())
    if asked is None:
        assert entry.pair is not None
        source, target = languages
        either = entry.pair.format(source, target), entry.pair.format(target, source)
        found = next((pair for pair in either if pair in known), None)
        if found is None:
            raise DatasetError(
                f"Dataset '{name}' has no sentences in {source} and {target}; it has "
                f'{", ".join(known)}. Choose one: {{"path": "{name}", "name": "{known[0]}"}}, with '
                'task_kwargs={"source_language": ..., "target_language": ...}.'
            )
        return found
    if entry.pair is not None and asked not in known:
        asked = entry.pair.format(*asked.split("-", 1)) if "-" in asked else asked
    if known and asked not in known:
        raise DatasetError(
            f"Dataset '{name}' has no configuration '{asked}', only {', '.join(known)}."
            + did_you_mean(asked, known)
        )
    if entry.pair is not None:
        held = asked.removeprefix(entry.pair.removesuffix("{}-{}")).split("-")
        if set(held) != set(languages):
            raise DatasetError(
                f"Configuration '{asked}' of '{name}' holds {held[0]} and {held[1]}, but the "
                f"environment translates {languages[0]} into {languages[1]}. Make it with "
                f'task_kwargs={{"source_language": "{held[0]}", "target_language": "{held[1]}"}}, '
                "or leave the configuration out."
            )
    return asked


def _languages(task: Task) -> tuple[str, str]:
    return str(getattr(task, "source_language", "")), str(getattr(task, "target_language", ""))


def _filled_in(columns: Mapping[str, Column], task: Task) -> dict[str, Column]:
    """Puts the attributes of the task into the texts that name them."""
    source, target = _languages(task)
    words = {
        "source_language": source,
        "target_language": target,
        "unanswerable": getattr(task, "unanswerable", None) or "unanswerable",
    }
    return {
        name: column.format(**words) if isinstance(column, str) else column
        for name, column in columns.items()
    }


def _check_task(name: str, entry: NamedDataset, task: Task) -> None:
    from textenv.registry import environment_row, registered_ids

    if any(_target(kind) in entry.tasks for kind in type(task).__mro__):
        return
    rows = [environment_row(id) for id in registered_ids()]
    # Presets of an environment differ in the options of their generated data alone.
    suited = [r.id for r in rows if r.task in entry.tasks and isinstance(r.kwargs.dataset, str)]
    raise DatasetError(
        f"Dataset '{name}' is not for {type(task).__name__}: it suits {', '.join(suited)}. To read "
        f'it all the same, map its columns: {{"path": "{entry.path}", "columns": {{...}}}}.'
    )


def _target(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def hint_of(path: str) -> str:
    """Returns " Or write ...", if a Hugging Face id is that of a data set known by name."""
    name = next((name for name, entry in NAMED.items() if entry.path == path), None)
    return "" if name is None else f" Or write dataset='{name}', which knows the columns."


def offline_advice(path: str, task: Task) -> str:
    """Says what to do about a data set that cannot be loaded, for the environments of a task."""
    from textenv.registry import environment_row, registered_ids

    names = []
    for row in map(environment_row, registered_ids()):
        fits = all(getattr(task, key, None) == value for key, value in row.task_kwargs.items())
        embedded = row.kwargs.dataset
        if (
            isinstance(embedded, str)
            and embedded in PROCEDURAL
            and row.task == _target(type(task))
            and fits
        ):
            names.append(embedded)
    embedded_name = f"the embedded dataset '{names[-1]}'" if names else "an embedded dataset"
    like = next((name for name, entry in NAMED.items() if entry.path == path), None)
    copy = (
        f'a copy of it ({{"path": "copy.jsonl", "like": "{like}"}})'
        if like
        else "a local JSON, JSONL, CSV or Parquet file"
    )
    return f"Without a network, use {embedded_name}, or {copy}."
