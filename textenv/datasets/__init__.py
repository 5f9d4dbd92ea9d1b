"""Data sets by name: generated ones, well-known ones, local files and the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from textenv.datasets.base import SPLITS, Split, TextDataset
from textenv.datasets.catalog import NAMED, PROCEDURAL, NamedDataset
from textenv.datasets.named import resolve_named
from textenv.datasets.report import LoadReport
from textenv.errors import ConfigError, UnknownNameError
from textenv.named_paths import named_path
from textenv.tasks.base import Task

if TYPE_CHECKING:
    from textenv.datasets.generated.procedural import Generator

__all__ = [
    "NAMED",
    "PROCEDURAL",
    "SPLITS",
    "DatasetSpec",
    "LoadReport",
    "NamedDataset",
    "Split",
    "TextDataset",
    "generator_class",
    "load_dataset",
    "make_generator",
]

DatasetMaker: TypeAlias = Callable[[Task, Split, int], TextDataset]
DatasetSpec: TypeAlias = str | Path | Mapping[str, Any] | DatasetMaker

_FILE_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".xml", ".gz")


def load_dataset(dataset: DatasetSpec, task: Task, split: Split, seed: int = 0) -> TextDataset:
    """Loads one split of a dataset for a task.

    Args:
        dataset: The name of a procedural set (`PROCEDURAL`) or of a well-known one (`NAMED`), a
            local JSON, JSONL, CSV, TSV, Parquet or XML file, a folder of such files, a Hugging
            Face id, or a mapping with "path" and, optionally, the options of the procedural set,
            or "columns" and the other keys of `textenv.datasets.spec.RowsSpec`.
            {"path": ..., "like": "cnn_dailymail"} reads a copy of a well-known set.
            docs/your-data.md tells the rules. Or, for data that no file holds, a function of the
            task, the split and the seed that returns the examples.
        task: Task that will read the rows.
        split: "train", "validation" or "test".
        seed: Seed of the stream of a procedural set.

    Returns:
        The examples. Those of files, folders and the hub have a `report`, which says what became
        of every row. The logger "textenv.datasets" gets it, too.

    Raises:
        UnknownNameError: No such split or known set.
        DatasetError: The data cannot be read or lacks what the task needs.
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    if callable(dataset):
        return dataset(task, split, seed)
    options = dict(dataset) if isinstance(dataset, Mapping) else {"path": dataset}
    path = options.pop("path", None)
    if isinstance(path, str) and path in PROCEDURAL:
        return _load_procedural(path, options, task, split, seed)
    if isinstance(path, str) and _names_nothing_else(path):
        raise UnknownNameError("dataset", path, [*PROCEDURAL, *NAMED])
    from textenv.datasets.loading import load_rows_dataset

    if (isinstance(path, str) and path in NAMED) or "like" in options:
        return load_rows_dataset(resolve_named({"path": path, **options}, task), task, split, seed)
    return load_rows_dataset(dataset, task, split, seed)


def _names_nothing_else(name: str) -> bool:
    """True for a near miss of a known name: neither a path nor the form of a hub id."""
    import difflib

    if name in NAMED or "/" in name or name.endswith(_FILE_SUFFIXES) or named_path(name).exists():
        return False
    return bool(difflib.get_close_matches(name, [*PROCEDURAL, *NAMED], n=1, cutoff=0.7))


def _load_procedural(
    path: str, options: Mapping[str, Any], task: Task, split: Split, seed: int
) -> TextDataset:
    from textenv.datasets.generated.procedural import ProceduralDataset

    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"dataset_seed must be a whole number from 0 up, not {seed!r}.")
    generator = make_generator(path, options)
    # A generator may have this method, to refuse a task that its rows do not fit.
    check_task = getattr(generator, "check_task", None)
    if check_task is not None:
        check_task(task)
    chosen = ",".join(f"{key}={value}" for key, value in sorted(options.items()))
    return ProceduralDataset(f"{path}({chosen})" if chosen else path, generator, task, split, seed)


def make_generator(path: str, options: Mapping[str, Any]) -> Generator:
    """Makes the generator of a procedural set, with some fields of its class set.

    Raises:
        UnknownNameError: The set has no such option.
        ConfigError: The value of an option is not valid.
    """
    made = generator_class(path)
    known = [field.name for field in dataclasses.fields(made)]
    for key in options:
        if key not in known:
            raise UnknownNameError(f"option of dataset '{path}'", key, known)
    generator: Generator = made(**options)
    return generator


def generator_class(path: str) -> type[Any]:
    """Imports the class of a generated set, a dataclass whose fields are the set's options."""
    module, _, name = PROCEDURAL[path].partition(":")
    found: type[Any] = getattr(import_module(f"textenv.datasets.generated.{module}"), name)
    return found
