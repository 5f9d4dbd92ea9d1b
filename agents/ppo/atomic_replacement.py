"""Replaces entries of a folder all at once, so that a process that dies leaves no half of them.

FOLDER/.saving             what is being written
FOLDER/.saved              what is whole, and replaces the entries of its names
FOLDER/.saved-keeping      the same, and what it replaces is kept in FOLDER/checkpoints
FOLDER/.replaced           what was replaced

A folder is renamed from the first name to one of the next two once all its files, with a list of
their checksums, are on the disk. From there `settle` finishes, whoever calls it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from textenv.errors import DamagedError, FolderInUseError
from textenv.storage.checksums import MANIFEST, Checksums, list_files, read_checksums
from textenv.storage.faults import storage_faults
from textenv.storage.folder_lock import check_held, holds, locked
from textenv.storage.whole_files import remove_entry, sync_folder, sync_tree

CHECKPOINTS = "checkpoints"
ITERATION = "iteration"  # what the notes of a manifest tell
_WRITING, _REPLACED = ".saving", ".replaced"
_READY, _READY_KEEPING = ".saved", ".saved-keeping"
_PATIENCE_S = 20.0  # while the process that trains in a folder replaces what is there
_WHOLE = "What was there before is kept."


@contextmanager
def replacing_entries(
    folder: Path, *, part: str = "", keep: bool = False, iteration: int | None = None
) -> Iterator[Path]:
    """Yields an empty folder, whose entries then replace those of the same names in `folder`.

    Nothing is replaced until everything is written, listed in a manifest and on the disk. If the
    process dies after that, `settle` finishes the replacement. Other entries are not changed.

    Args:
        folder: Folder whose entries to replace; created if it does not exist.
        part: Name of the one entry to replace, a folder, which is yielded; by default all that is
            written.
        keep: Whether what is replaced is kept in `checkpoints/`, under its iteration.
        iteration: Iteration after which this was saved, for the manifest.

    Raises:
        StorageError: Something cannot be written. What was there before is kept.
    """
    check_held(folder)
    with storage_faults(folder, _WHOLE):
        _finish(folder)
        writing = folder / _WRITING
        remove_entry(writing)
        part_of_it = writing / part
        part_of_it.mkdir(parents=True)
        try:
            yield part_of_it
            manifest = list_files(part_of_it, part_of_it / MANIFEST)
            if iteration is not None:
                manifest.notes[ITERATION] = iteration
            manifest.save()
            check_held(folder)
            sync_tree(writing)
            writing.rename(folder / (_READY_KEEPING if keep else _READY))
        except BaseException:
            # It may be what fills the disk.
            with suppress(OSError):
                remove_entry(writing)
            raise
        sync_folder(folder)
        _finish(folder)


def is_pending(folder: Path) -> bool:
    """Tells whether a replacement was cut short after everything was written."""
    return (folder / _READY).is_dir() or (folder / _READY_KEEPING).is_dir()


def settle(folder: Path) -> None:
    """Finishes a replacement that was cut short after everything was written.

    If the process that trains in the folder is at it, waits until it is done.

    Raises:
        StorageError: Something cannot be moved.
        FolderInUseError: Another process is at it for more than 20 s.
    """
    until = time.monotonic() + _PATIENCE_S
    while is_pending(folder):
        if holds(folder):
            break
        try:
            with locked(folder):
                _finish(folder)
        except FolderInUseError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
    if is_pending(folder):
        with storage_faults(folder):
            _finish(folder)


def _finish(folder: Path) -> None:
    for name, keeps in ((_READY, False), (_READY_KEEPING, True)):
        ready = folder / name
        if not ready.is_dir():
            continue
        replaced = folder / _REPLACED
        entries = sorted((e.name for e in ready.iterdir()), key=lambda n: (n == MANIFEST, n))
        # An agent that had an adapter, say, may be replaced by one that has none.
        stale: set[str] = set()
        if MANIFEST in entries:
            stale = _tops(folder / MANIFEST) - _tops(ready / MANIFEST)
        for entry in (*sorted(stale), *entries):
            old = folder / entry
            if old.is_symlink() or old.exists():
                replaced.mkdir(exist_ok=True)
                old.rename(replaced / entry)
            if entry not in stale:
                (ready / entry).rename(old)
        if replaced.is_dir():
            sync_folder(folder)
            _put_away(folder, replaced, keeps)
        ready.rmdir()
        sync_folder(folder)
    remove_entry(folder / _REPLACED)


def _put_away(folder: Path, replaced: Path, keeps: bool) -> None:
    """Keeps what was replaced, or removes it."""
    iteration = _iteration(replaced / MANIFEST) if keeps else None
    if iteration is None:
        remove_entry(replaced)
        return
    kept = folder / CHECKPOINTS / str(iteration)
    kept.parent.mkdir(exist_ok=True)
    remove_entry(kept)
    replaced.rename(kept)
    sync_folder(kept.parent)


def _read(path: Path) -> Checksums | None:
    try:
        return read_checksums(path)
    except DamagedError:
        return None


def _iteration(path: Path) -> int | None:
    manifest = _read(path)
    return None if manifest is None else manifest.notes.get(ITERATION)


def _tops(path: Path) -> set[str]:
    manifest = _read(path)
    return set() if manifest is None else {name.partition("/")[0] for name in manifest.files}
