"""Loads the rows that `dataset=` asks for: reads them all, and divides them into splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from textenv.datasets.base import SPLITS, Split
from textenv.datasets.division import Division, divide, passages_note
from textenv.datasets.examples import TableExamples, read_examples
from textenv.datasets.formats.files import read_files
from textenv.datasets.matching import match_columns
from textenv.datasets.reading import Table, read_hub
from textenv.datasets.report import LoadReport
from textenv.datasets.rows import RowReader, RowsDataset
from textenv.datasets.sources import Opened, no_split, open_source
from textenv.datasets.spec import RowsSpec
from textenv.datasets.streaming import load_stream
from textenv.errors import DatasetError, TextEnvError
from textenv.tasks.base import Task

# Rows on disk up to which all splits are read for the sake of one, to compare their prompts.
_COMPARED = 200_000
_QUOTED = 400  # characters of an error that a note quotes


def load_rows_dataset(
    spec: str | Path | Mapping[str, Any], task: Task, split: Split, seed: int = 0
) -> RowsDataset:
    """Loads one split of a local file, a folder or a Hugging Face data set; see `load_dataset`.

    A data set that comes in splits keeps them. A split that it lacks is taken from its training
    rows, and a single file is all training rows: a tenth of them, chosen by a hash of what the
    agent sees, is "validation", another tenth "test". Equal prompts thus share a split; their rows
    are one example where the task takes several references. The seed changes nothing: files have
    an order of their own.

    Every row is read and tried now, and `report` says what became of it.
    """
    source = RowsSpec.parse(spec)
    if source.streaming:
        return load_stream(source, task, split)
    opened = open_source(source, task, read_files, read_hub)
    declared = opened.splits
    if "train" not in declared and split not in declared:
        raise no_split(source, split, opened)
    readers: dict[Split, RowReader] = {}
    found: dict[Split, TableExamples] = {}
    failures = []
    for name in _compared(source, declared, split):
        try:
            readers[name], found[name] = _read(source, task, declared[name])
        except TextEnvError as error:
            if name in (split, "train"):
                raise
            failures.append(f"Split '{name}' cannot be used: {str(error)[:_QUOTED]}")
    division = divide(found, declared, disjoint=source.disjoint)
    report = _report(source, opened, found, division, readers, failures)
    report.log()
    owner = division.owner[split]
    mask = division.masks[split]
    if not mask.any():
        sizes = ", ".join(f"{name} {size}" for name, size in report.sizes.items())
        left = "".join(f" {n} were left out: {reason}." for reason, n in report.skipped.items())
        raise DatasetError(
            f"Split '{split}' of dataset '{source.path}' is empty: none of its {report.rows_read} "
            f"rows falls into it ({sizes}).{left} Rows go to train, validation and test as 8 : 1 : "
            "1 by a hash of their prompt, so equal prompts share a split; give more distinct rows "
            "or another split."
        )
    chosen = found[owner]
    sizes_of = np.diff(chosen.starts)
    indices = chosen.indices[np.repeat(mask, sizes_of)]
    starts = np.append(0, np.cumsum(sizes_of[mask]))
    return RowsDataset(readers[owner], chosen.table, indices, starts, report)  # type: ignore[arg-type] # arrays


def _read(source: RowsSpec, task: Task, table: Table) -> tuple[RowReader, TableExamples]:
    """Reads the rows of a declared split."""
    if not len(table.rows) and not table.refused:
        raise DatasetError(
            f"Dataset '{source.path}' has no rows in '{table.name}'. Is it the right one?"
        )
    if table.refused and (source.skip != "unusable" or not len(table.rows)):
        raise table.refused[0].error(len(table.refused))
    matched = match_columns(source, task, table.name, table.columns, cells=table.cells)
    reader = RowReader(task, matched)
    return reader, read_examples(reader, table.narrowed(matched.wanted), source)


def _compared(source: RowsSpec, declared: Mapping[Split, Table], split: Split) -> Collection[Split]:
    """Returns the declared splits to read: all, unless they are large and lie on disk."""
    on_disk = sum(
        len(table.rows) for table in declared.values() if not isinstance(table.rows, list)
    )
    if on_disk <= _COMPARED or source.disjoint:
        return declared.keys()
    return (split if split in declared else "train",)


def _report(
    source: RowsSpec,
    opened: Opened[Table],
    found: Mapping[Split, TableExamples],
    division: Division,
    readers: Mapping[Split, RowReader],
    failures: Sequence[str],
) -> LoadReport:
    """Says what became of the rows of the splits that were read."""
    skipped: dict[str, int] = {}
    places: dict[str, tuple[str, ...]] = {}
    read = 0
    notes = [*opened.notes, *failures, *division.notes]
    for name, examples in found.items():
        table = examples.table
        read += len(table.rows) + len(table.refused) + table.blank
        counts = dict(examples.skipped.counts)
        if table.blank:
            counts["the line is blank"] = table.blank
        if left := int(np.diff(examples.starts)[division.left_out[name]].sum()):
            counts["its prompt stands in a split that is held out"] = left
        for reason, number in counts.items():
            skipped[reason] = skipped.get(reason, 0) + number
            there = examples.skipped.places.get(reason, ())
            places[reason] = (*places.get(reason, ()), *there)
        notes += examples.notes()
        notes += table.notes_on(readers[name].matched.wanted)
        fields = readers[name].matched.fields
        for wanted in readers[name].task.fields:
            column = fields.columns.get(wanted.name)
            if wanted.shared and name == "train" and isinstance(column, str):
                note = passages_note(examples, division, column)
                notes += [note] if note else []
    sizes: dict[Split, int] = {}
    for split in SPLITS:
        if split in division.masks:
            sizes[split] = int(division.masks[split].sum())
        elif split in opened.splits and not failures:
            sizes[split] = len(opened.splits[split].rows)
    return LoadReport(
        source.path,
        read,
        read - sum(skipped.values()),
        skipped,
        places,
        sum(examples.duplicates for examples in found.values()),
        sum(examples.merged for examples in found.values()),
        sizes,
        tuple(dict.fromkeys(notes)),
    )
