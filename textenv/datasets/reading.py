"""Tables and streams of rows, from the Hugging Face Hub or a local folder through `datasets`."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textenv.datasets.formats.parquet_files import Numbers
from textenv.datasets.row import Note, Part, Refused, Row, Rows
from textenv.errors import DatasetError, did_you_mean
from textenv.hub import offline_if_unreachable
from textenv.named_paths import named_path

# The branch in which the hub keeps sets as Parquet; each configuration is a folder of it.
PARQUET_BRANCH = "refs/convert/parquet"

_BATCH = 1000


@dataclass(frozen=True)
class Table:
    """Rows under named columns."""

    name: str  # Name of the rows in ids and errors
    columns: tuple[str, ...]  # Every column that some row has
    rows: Rows  # One mapping a row; a row may lack columns
    # The number of each row, from 1, where the table holds only some of a set's rows
    numbers: Sequence[int] | None = None
    parts: tuple[Part, ...] = ()  # The files that it was read from, if it was
    refused: tuple[Refused, ...] = ()  # What could not be read, and is none of the rows
    blank: int = 0  # Lines without any value, which are none of the rows
    cells: bool = False  # Whether every value is a text, as in CSV files
    notes: Sequence[Note] = ()  # May grow while the rows are read

    def number(self, row: int) -> int:
        """Returns the number, from 1, under which people know a row."""
        return row + 1 if self.numbers is None else self.numbers[row]

    def where(self, row: int) -> str:
        """Names the place of a row: file and line, or the table's name and the row's number."""
        number = self.number(row)
        index = number - 1
        for part in self.parts:
            if index < part.size:
                if part.places is None:
                    return f"{part.file}, row {index + 1}"
                return f"{part.file}, {part.unit} {part.places[index]}"
            index -= part.size
        return f"{self.name}, row {number}"

    def notes_on(self, columns: Collection[str]) -> list[str]:
        """Returns the notes that matter to those who read these columns, or paths into some."""
        read = {path.partition(".")[0] for path in columns} | {*columns, None}
        return [note.text for note in self.notes if note.column in read]

    def scan(self) -> Iterator[Row]:
        """Yields the rows in order, many times faster than one by one where they lie on disk."""
        if not hasattr(self.rows, "iter"):
            yield from self.rows
            return
        for batch in self.rows.iter(batch_size=_BATCH):
            names = list(batch)
            for values in zip(*batch.values(), strict=True):
                yield dict(zip(names, values, strict=True))

    def narrowed(self, wanted: Collection[str]) -> Table:
        """Returns the table without columns that are not needed, if its rows are on disk.

        Of a column that is only wanted at "a.b", the table then has just the part "a.b" as a
        column.
        """
        if not hasattr(self.rows, "select_columns"):
            return self

        rows = self.rows
        schema = rows.data.schema  # type: ignore[attr-defined] # a Dataset, as was asked above
        types = {name: schema.field(name).type for name in self.columns}
        if not any(_is_struct(types[path]) for path in wanted if path in types):
            rows = rows.flatten()  # type: ignore[attr-defined] # rows of `datasets` can
        keep = _kept(tuple(rows.column_names), wanted)  # type: ignore[attr-defined] # likewise
        rows = rows.select_columns(list(keep))
        numbers = Numbers(rows.features.arrow_schema)
        if numbers.columns:
            rows = rows.with_transform(numbers.batch)
        return replace(self, columns=keep, rows=rows, notes=numbers.notes)


@dataclass(frozen=True)
class Stream:
    """Rows under named columns that can only be read in order."""

    name: str  # Name of the rows in ids and errors
    columns: tuple[str, ...] | None  # Its columns; None if only the rows can tell
    # The rows, from the first at every iteration, what could not be read, and notes
    rows: Iterable[Row | Refused | Note]
    file: Path | None = None  # A file of JSON lines that they come from, which need not be copied
    cells: bool = False  # Whether every value is a text, as in CSV files

    def narrowed(self, wanted: Collection[str]) -> Stream:
        """Returns the stream without columns of the hub that are not needed."""
        if self.columns is None or not hasattr(self.rows, "select_columns"):
            return self
        keep = _kept(self.columns, wanted)
        rows = self.rows.select_columns(list(keep))
        if rows.features is not None:
            rows = _Spelled(rows)
        return replace(self, columns=keep, rows=rows)


@dataclass(frozen=True)
class _Spelled:
    """Rows of `datasets`, with their numbers as they were written."""

    rows: Any

    def __iter__(self) -> Iterator[Row | Note]:

        return Numbers(self.rows.features.arrow_schema).spelled(self.rows)


def is_saved(folder: Path) -> bool:
    """Tells whether a folder was written by `save_to_disk` of `datasets`."""
    return any((folder / file).is_file() for file in ("state.json", "dataset_dict.json"))


def read_hub(
    path: str, *, name: str | None, revision: str | None, split: str | None, advice: str = ""
) -> dict[str, Table]:
    """Reads the splits of a data set of the hub, or of a saved one, under their own names.

    No code that comes with a data set is run. `split` is the only one to read, None reads all;
    `advice` ends the error for the case without a network.

    Raises:
        DatasetError: It does not exist, cannot be reached, or cannot be read.
    """
    loaded = _load(path, name, revision, split, advice, streaming=False)
    stem = named_path(path).name
    return {
        key: Table(f"{stem}/{key}", tuple(rows.column_names), rows) for key, rows in loaded.items()
    }


def stream_hub(
    path: str, *, name: str | None, revision: str | None, split: str | None, advice: str = ""
) -> dict[str, Stream]:
    """Opens the splits of a data set to be read in order; else as `read_hub`."""
    loaded = _load(path, name, revision, split, advice, streaming=True)
    stem = named_path(path).name
    return {
        key: Stream(f"{stem}/{key}", tuple(rows.column_names) if rows.column_names else None, rows)
        for key, rows in loaded.items()
    }


def _load(
    path: str,
    name: str | None,
    revision: str | None,
    split: str | None,
    advice: str,
    streaming: bool,
) -> dict[str, Any]:
    """Returns the splits as `datasets` has them."""
    with quiet_datasets():
        import datasets

        folder = named_path(path)
        try:
            if is_saved(folder):  # its rows stay on disk anyway
                loaded = datasets.load_from_disk(str(folder))
            else:
                # In the hub's Parquet branch, configurations are folders.
                where = {} if name is None else {_key_of_name(revision): name}
                with offline_if_unreachable(path):
                    loaded = datasets.load_dataset(
                        path, revision=revision, streaming=streaming, **where
                    )
        except Exception as error:  # the library raises nearly every type there is
            place = f"from the folder {folder}" if folder.is_dir() else "from the Hugging Face Hub"
            raise DatasetError(
                f"Dataset '{path}' cannot be loaded {place}: {_reason(error)} Check the name, the "
                f"configuration and the network. {advice}".rstrip()
            ) from error
    if isinstance(loaded, datasets.Dataset):
        loaded = {"train": loaded}
    if split is not None:
        if split not in loaded:
            raise DatasetError(
                f"Dataset '{path}' has no split '{split}'.{did_you_mean(split, loaded)}"
            )
        return {split: loaded[split]}
    return dict(loaded)


def _key_of_name(revision: str | None) -> str:
    return "data_dir" if revision == PARQUET_BRANCH else "name"


def _reason(error: Exception) -> str:
    """Says an error of `datasets` in its first lines: the second one lists configurations."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = " ".join(line.strip() for line in lines[:2])
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _kept(columns: tuple[str, ...], wanted: Collection[str]) -> tuple[str, ...]:
    """Returns the columns that are wanted, or lie above or below a path that is."""
    return tuple(
        column
        for column in columns
        if any(
            f"{path}.".startswith(f"{column}.") or column.startswith(f"{path}.") for path in wanted
        )
    )


def _is_struct(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_struct(kind))


@contextlib.contextmanager
def quiet_datasets() -> Iterator[None]:
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
