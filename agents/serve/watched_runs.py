"""Finds the runs in some folders, and keeps up with them."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from agents.serve.watched_run import WatchedRun
from textenv.errors import ConfigError
from textenv.safe_text import without_lone_surrogates

_DEPTH = 3  # folders below a named one in which runs are found
_MOST_FOLDERS = 5000  # that are looked into
_FIND_EVERY_S = 2.0  # between two searches for new runs
_REFRESH_EVERY_S = 0.5  # between two looks at the files, however many pages ask


class WatchedRuns:
    """Runs by their ids, in the order of their names.

    An id is a hash of the folder's path: it stays when the server is started again, and tells
    nothing about the path.

    Args:
        folders: Folders of runs, or folders that hold such folders.

    Raises:
        ConfigError: One of them does not exist.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise ConfigError(
                    f"There is no folder '{folder}'. Name folders of runs, or a folder that holds "
                    "some: textenv serve FOLDER."
                )
        self._folders = [folder.resolve() for folder in folders]
        self._known: dict[str, WatchedRun] = {}
        self._found_at = self._refreshed_at = -float("inf")

    def __iter__(self) -> Iterator[WatchedRun]:
        """Yields the runs of `textenv train` among the folders."""
        return (run for run in self._known.values() if run.is_run)

    def find(self, id: str) -> WatchedRun | None:
        """Returns the run of an id; None if there is none."""
        run = self._known.get(id)
        return run if run is not None and run.is_run else None

    def refresh(self) -> None:
        """Looks for new runs, and reads what changed in the known ones."""
        now = time.monotonic()
        if now - self._refreshed_at < _REFRESH_EVERY_S:
            return
        if now - self._found_at >= _FIND_EVERY_S:
            self._find()
            self._found_at = time.monotonic()
        for run in self._known.values():
            run.refresh()
        self._refreshed_at = time.monotonic()

    def _find(self) -> None:
        found = {path: folder for folder in self._folders for path in _find_runs(folder)}
        names = {path: _names(path, folder) for path, folder in found.items()}
        count = Counter(name for several in names.values() for name in several)
        known, self._known = self._known, {}
        for path, several in names.items():
            id = make_id(path)
            run = known.get(id) or WatchedRun(id, path)
            name = next((one for one in several if count[one] == 1), str(path))
            run.name = without_lone_surrogates(name)
            self._known[id] = run


def make_id(path: Path) -> str:
    """Returns the id of the run in a folder: 16 hexadecimal digits."""
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()


def _names(path: Path, folder: Path) -> tuple[str, str]:
    """Returns the way to a run from a named folder that holds it, and that from one level above."""
    held_by = path.parent if path == folder else folder
    return path.relative_to(held_by).as_posix(), path.relative_to(held_by.parent).as_posix()


def _find_runs(folder: Path) -> Iterator[Path]:
    """Yields the folders that hold a config.yaml, at most three levels deep, none in another."""
    left = _MOST_FOLDERS
    level = [folder]
    for _ in range(_DEPTH + 1):
        below: list[Path] = []
        for one in level:
            left -= 1
            if left < 0:
                return
            if (one / "config.yaml").is_file():
                yield one
            else:
                below += _subfolders(one)
        level = below


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError:
        return []
    return [folder / name for name in names]
