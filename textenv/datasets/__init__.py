"""Where examples come from: procedural sets that need no network, local files, the hub."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textenv.datasets.base import SPLITS, Split, TextDataset
from textenv.errors import ConfigError, UnknownNameError
from textenv.tasks.base import Task

__all__ = ["PROCEDURAL", "SPLITS", "Split", "TextDataset", "load_dataset"]

# Name of a procedural set -> where its generator stands.
PROCEDURAL: Mapping[str, str] = {
    "news": "textenv.datasets.news:NEWS",
    "facts": "textenv.datasets.facts:FACTS",
    "phrases-en-de": "textenv.datasets.phrases:PHRASES_EN_DE",
    "phrases-en-zh": "textenv.datasets.phrases:PHRASES_EN_ZH",
    "bookings": "textenv.datasets.bookings:BOOKINGS",
}

_FILE_SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")


def load_dataset(
    dataset: str | Path | Mapping[str, Any], task: Task, split: Split, seed: int = 0
) -> TextDataset:
    """Loads one split of a dataset for a task.

    Args:
        dataset: The name of a procedural set (`PROCEDURAL`), a local JSON, JSONL, CSV or Parquet
            file, a Hugging Face id, or a mapping with "path" and, by choice, "columns" and the
            other keys of `textenv.datasets.loading`.
        task: What its rows are for.
        split: "train", "validation" or "test".
        seed: Names one stream of a procedural set.

    Raises:
        UnknownNameError: No such split or procedural set.
        DatasetError: The data cannot be read or lacks what the task needs.
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    if isinstance(dataset, str) and dataset in PROCEDURAL:
        return _load_procedural(dataset, task, split, seed)
    if isinstance(dataset, str) and _names_nothing_else(dataset):
        raise UnknownNameError("dataset", dataset, PROCEDURAL)
    from textenv.datasets.loading import load_rows_dataset

    return load_rows_dataset(dataset, task, split, seed)


def _names_nothing_else(name: str) -> bool:
    """True for a near miss of a procedural name: neither a path nor the form of a hub id."""
    import difflib

    looks_like_file = name.endswith(_FILE_SUFFIXES) or Path(name).exists()
    near = difflib.get_close_matches(name, PROCEDURAL, n=1, cutoff=0.7)
    return not looks_like_file and "/" not in name and bool(near)


def _load_procedural(name: str, task: Task, split: Split, seed: int) -> TextDataset:
    from textenv.datasets.procedural import ProceduralDataset

    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ConfigError(f"dataset_seed must be a whole number from 0 up, not {seed!r}.")
    return ProceduralDataset(name, _generator(name), task, split, seed)


@functools.cache
def _generator(name: str) -> Any:
    module, _, attribute = PROCEDURAL[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
