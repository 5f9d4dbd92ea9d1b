"""Reads tables of rows: a local file, or a data set of the Hugging Face Hub or of a folder.

JSON, JSON Lines and CSV are read with the standard library rather than through `datasets`: values
stay as they are written (a CSV answer "007" or "None" is that text, not a number or nothing; a
JSON column may mix types), an error can name its line, and no copy is left in a cache. Parquet has
types of its own. The hub and folders go through `datasets`, whose rows stay on disk.
"""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textenv.errors import DatasetError, did_you_mean
from textenv.hub import offline_if_unreachable

Rows = Sequence[Mapping[str, Any]]

_LONGEST_CSV_CELL = 2**31 - 1


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Attributes:
        name: What its rows are called in ids, and in errors.
        columns: Every column that some row has.
        rows: One mapping a row; a row may lack columns.
    """

    name: str
    columns: tuple[str, ...]
    rows: Rows

    def narrowed(self, wanted: Collection[str]) -> Table:
        """Returns the table without columns of the hub that would be decoded in vain.

        Args:
            wanted: The columns to keep; "a.b" keeps column a.
        """
        if not hasattr(self.rows, "select_columns"):
            return self
        heads = {name.partition(".")[0] for name in wanted}
        keep = tuple(column for column in self.columns if column in wanted or column in heads)
        return Table(self.name, keep, self.rows.select_columns(list(keep)))


def is_local_file(path: str) -> bool:
    """Tells whether a path is meant as a local file: it is one, or ends like one."""
    return Path(path).is_file() or Path(path).suffix.lower() in _READERS


def read_file(path: Path) -> Table:
    """Reads a JSON, JSON Lines, CSV or Parquet file.

    Raises:
        DatasetError: It does not exist, has another format, or is not valid; the line is named.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(
            f"{path}: files that end in '{path.suffix}' are not read. "
            f"Use one of {', '.join(_READERS)}."
        )
    try:
        rows = reader(path)
    except FileNotFoundError as error:
        siblings = [entry.name for entry in path.parent.glob("*") if entry.suffix in _READERS]
        raise DatasetError(
            f"There is no file {path}.{did_you_mean(path.name, siblings)}"
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text (byte {error.start}).") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
    columns = dict.fromkeys(column for row in rows for column in row)
    return Table(path.stem, tuple(columns), rows)


def read_hub(
    path: str, *, name: str | None, revision: str | None, split: str | None
) -> dict[str, Table]:
    """Reads the splits of a data set of the hub, or of a local folder, under their own names.

    No code that comes with a data set is run.

    Args:
        path: The Hugging Face id, or a folder.
        name: The configuration, where a data set has several.
        revision: A branch, tag or commit.
        split: The only split to read; None reads all.

    Raises:
        DatasetError: It does not exist, cannot be reached, or cannot be read.
    """
    with _quiet_datasets():
        import datasets

        folder = Path(path).expanduser()
        saved = any((folder / file).is_file() for file in ("state.json", "dataset_dict.json"))
        try:
            if saved:  # by Dataset.save_to_disk
                loaded = datasets.load_from_disk(str(folder))
            else:
                source = str(folder) if folder.is_dir() else path
                with offline_if_unreachable(source):
                    loaded = datasets.load_dataset(source, name, revision=revision)
        except Exception as error:  # the library raises nearly every type there is
            where = f"from the folder {folder}" if folder.is_dir() else "from the Hugging Face Hub"
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise DatasetError(
                f"Dataset '{path}' cannot be loaded {where}: {reason[0]} Check the name, the "
                "configuration and the network. Without a network, use an embedded dataset, such "
                "as 'news', or a local JSON, JSONL, CSV or Parquet file."
            ) from error
    if isinstance(loaded, datasets.Dataset):
        loaded = {"train": loaded}
    if split is not None:
        if split not in loaded:
            raise DatasetError(
                f"Dataset '{path}' has no split '{split}'.{did_you_mean(split, loaded)}"
            )
        loaded = {split: loaded[split]}
    stem = folder.name
    return {
        key: Table(f"{stem}/{key}", tuple(rows.column_names), rows) for key, rows in loaded.items()
    }


def _read_json(path: Path) -> Rows:
    text = path.read_text(encoding="utf-8-sig")
    if text.lstrip()[:1] != "[":
        return _read_jsonl(path)  # JSON Lines often goes by the name .json too
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}, line {error.lineno}: not valid JSON: {error.msg}.") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DatasetError(
                f"{path}, row {number}: found a {type(row).__name__}. "
                "Each row must be an object of columns."
            )
    return list(rows)


def _read_jsonl(path: Path) -> Rows:
    rows = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise DatasetError(
                    f"{path}, line {number}: not valid JSON: {error.msg}. The file must hold one "
                    "object a line, or one list of objects."
                ) from error
            if not isinstance(row, dict):
                raise DatasetError(
                    f"{path}, line {number}: found a {type(row).__name__}. "
                    "Each line must be an object of columns."
                )
            rows.append(row)
    return rows


def _read_csv(path: Path) -> Rows:
    previous_limit = csv.field_size_limit(_LONGEST_CSV_CELL)
    rows = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise DatasetError(
                        f"{path}, line {reader.line_num}: the row has another number of cells "
                        "than the header. Quote cells that hold commas or line breaks."
                    )
                rows.append(row)
    except csv.Error as error:
        raise DatasetError(f"{path}, row {len(rows) + 1}: not valid CSV: {error}.") from error
    finally:
        csv.field_size_limit(previous_limit)
    return rows


def _read_parquet(path: Path) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        rows: Rows = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise DatasetError(f"{path}: not valid Parquet: {error}") from error
    return rows


_READERS = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}


@contextlib.contextmanager
def _quiet_datasets() -> Iterator[None]:
    """Keeps progress bars, log lines and warnings of `datasets` from the user meanwhile."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import datasets
        from huggingface_hub import logging as hub_logging

        verbosity = datasets.logging.get_verbosity(), hub_logging.get_verbosity()
        had_bars = datasets.are_progress_bars_disabled() is False
        datasets.logging.set_verbosity(logging.ERROR)
        hub_logging.set_verbosity(logging.ERROR)
        datasets.disable_progress_bars()
        try:
            yield
        finally:
            datasets.logging.set_verbosity(verbosity[0])
            hub_logging.set_verbosity(verbosity[1])
            if had_bars:
                datasets.enable_progress_bars()
