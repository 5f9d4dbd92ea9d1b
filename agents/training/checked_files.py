"""Writes the files of a run, and lists their checksums in FOLDER/checksums.json.

Files that are written as a whole are on the disk when the call returns. Those that grow by lines
are when the agent is saved, and the list has how long each was then: from there a run goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from textenv.errors import DamagedError, StorageError
from textenv.storage.checksums import (
    MISSING,
    GrowingDigest,
    State,
    changed_checksums,
    find_difference,
    read_checksums,
    read_state,
    write_checked,
)
from textenv.storage.faults import storage_faults
from textenv.storage.folder_lock import check_held
from textenv.storage.whole_files import sync_file, write_whole

CHECKSUMS = "checksums.json"
_MARKS = "checkpoints"  # in the list's notes: how far files had grown, by iteration
_DELETE = "Restore it from a copy, or delete it: what it told is lost then."
_ACCEPT = (
    "Restore it from a copy. To go on with it as it is, for instance since you edited it, delete "
    f"{CHECKSUMS} beside it"
)

_log = logging.getLogger(__name__)


def write_run_file(path: Path, text: str) -> None:
    """Writes a file of a run as a whole, with its checksum.

    Raises:
        StorageError: It cannot be written; the file before is kept.
    """
    with storage_faults(path):
        write_checked(path, text, path.parent / CHECKSUMS)


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file of one JSON object; an empty one if there is no such file.

    Raises:
        DamagedError: It holds no such thing.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"'{path}' is damaged: it is not valid JSON. {_DELETE}") from error
    if not isinstance(content, dict):
        raise DamagedError(f"'{path}' is damaged: it does not hold a JSON object. {_DELETE}")
    return content


def find_damaged_files(folder: Path, names: Iterable[str] | None = None) -> list[str]:
    """Compares the files of a run with their checksums.

    Args:
        folder: The run's folder.
        names: Files to look at; by default all that are listed.

    Returns:
        A text for each damaged file: its path and what is wrong with it.
    """
    with storage_faults(folder):
        checksums = read_checksums(folder / CHECKSUMS)
        return [] if checksums is None else checksums.find_damage(names)


def check_run_files(folder: Path, names: Iterable[str] | None = None) -> None:
    """Checks the files of a run against their checksums.

    A folder without a list of checksums passes: it was accepted as it is, or copied in part.

    Raises:
        DamagedError: Files are damaged; they are named, and what can be done. One that is missing
            is a warning.
    """
    wrong = find_damaged_files(folder, names)
    # Who deletes a file has seen to it: a run goes on without what it told.
    missing = [text for text in wrong if text.endswith(f"' {MISSING}")]
    for text in missing:
        _log.warning(f"{text}: what it told is not known any more.")
    damaged = [text for text in wrong if text not in missing]
    if damaged:
        raise DamagedError(f"{'; '.join(damaged)}. {_ACCEPT}.")


class GrowingFile:
    """A file of a run that grows by lines.

    Args:
        path: File; made when the first line comes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digest = GrowingDigest(path.read_bytes() if path.is_file() else b"")

    def replace(self, lines: Sequence[str]) -> None:
        """Replaces all lines."""
        text = "".join(f"{line}\n" for line in lines)
        digest = GrowingDigest(text.encode())
        with storage_faults(self.path):
            with changed_checksums(self.path.parent / CHECKSUMS) as checksums:
                # Until it is replaced, the file is what it was.
                checksums.files[self.path.name] = (self._digest.state, digest.state)
                for iteration, mark in checksums.notes.get(_MARKS, {}).items():
                    if self.path.name in mark:
                        shorter = _first_lines(lines, int(iteration))
                        mark[self.path.name] = [mark[self.path.name][-1], shorter.to_json()]
            write_whole(self.path, text)
        self._digest = digest

    def append(self, lines: Sequence[str]) -> None:
        """Appends lines.

        Raises:
            StorageError: They cannot be written, or something else has changed the file.
        """
        check_held(self.path.parent)
        text = "".join(f"{line}\n" for line in lines).encode()
        with storage_faults(self.path):
            size = self.path.stat().st_size if self.path.is_file() else 0
            if size != self._digest.size:
                raise StorageError(
                    f"'{self.path}' was changed by something else while this run wrote it: it has "
                    f"{size:,} bytes instead of {self._digest.size:,}. Go on with --resume, and "
                    "leave the folder to the run."
                )
            try:
                with self.path.open("ab") as file:
                    file.write(text)
            except OSError:
                self._cut(size)
                raise
            self._digest.add(text)
            with changed_checksums(self.path.parent / CHECKSUMS) as checksums:
                checksums.files[self.path.name] = (self._digest.state,)

    def _cut(self, size: int) -> None:
        """Removes what a write that failed has left of a line."""
        try:
            with self.path.open("r+b") as file:
                file.truncate(size)
        except OSError:
            return


def mark_checkpoint(folder: Path, iteration: int, kept: Iterable[int]) -> None:
    """Notes how far the growing files of a run are, before the agent is saved.

    Args:
        folder: The run's folder.
        iteration: Iteration after which the agent is saved.
        kept: Iterations of the agents that the folder keeps.
    """
    with storage_faults(folder), changed_checksums(folder / CHECKSUMS) as checksums:
        marks = checksums.notes.get(_MARKS, {})
        mark = {}
        for name, states in checksums.files.items():
            if states[-1].grows and (folder / name).is_file():
                sync_file(folder / name)
                mark[name] = [states[-1].to_json()]
        wanted = {str(i) for i in kept}
        checksums.notes[_MARKS] = {
            **{key: value for key, value in marks.items() if key in wanted},
            str(iteration): mark,
        }


def check_grown_files(folder: Path, iteration: int) -> None:
    """Checks what growing files held when the agent of an iteration was saved.

    Raises:
        DamagedError: Files are damaged.
    """
    with storage_faults(folder):
        checksums = read_checksums(folder / CHECKSUMS)
    marks = {} if checksums is None else checksums.notes.get(_MARKS, {})
    for name in marks.get(str(iteration), {}):
        read_grown_rows(folder / name, iteration)


def read_grown_rows(path: Path, iteration: int) -> list[dict[str, Any]]:
    """Reads the rows that a growing file had when the agent of an iteration was saved.

    What follows may be damaged: the resumed run writes it again. Where the list of checksums does
    not know the file, its rows up to the iteration are read.

    Raises:
        DamagedError: The file is damaged.
    """
    with storage_faults(path):
        checksums = read_checksums(path.parent / CHECKSUMS)
        marks = {} if checksums is None else checksums.notes.get(_MARKS, {})
        states = [read_state(state) for state in marks.get(str(iteration), {}).get(path.name, [])]
        content = path.read_bytes() if path.is_file() else b""
        if states:
            state = next((s for s in states if not find_difference(path, [s])), None)
            if state is None:
                wrong = find_difference(path, states)
                raise DamagedError(f"'{path}' {wrong}. {_ACCEPT}.")
            content = content[: state.size]
    lines = content.splitlines(keepends=True)
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            is_later = row["iteration"] > iteration
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if number == len(lines) and not line.endswith(b"\n"):
                break  # a process was killed while it wrote
            raise DamagedError(
                f"'{path}' is damaged: line {number} is no row of it. {_ACCEPT}."
            ) from error
        if is_later:
            break
        rows.append(row)
    return rows


def _first_lines(lines: Sequence[str], iteration: int) -> State:
    """Returns the state of a file with the lines up to an iteration."""
    digest = GrowingDigest()
    for line in lines:
        if json.loads(line)["iteration"] > iteration:
            break
        digest.add(f"{line}\n".encode())
    return digest.state


def write_run_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a JSON line for each row, with the file's checksum."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_run_file(path, text)
