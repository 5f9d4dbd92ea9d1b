"""Replaces entries of a folder all at once, so that a process that dies leaves no half of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WRITING, _READY = ".saving", ".saved"


@contextmanager
def replacing_entries(folder: Path) -> Iterator[Path]:
    """Yields an empty folder, whose entries then replace those of the same names in `folder`.

    Nothing is replaced until everything is written. If the process dies after that, `settle`
    finishes the replacement. Other entries are not changed.

    Args:
        folder: Folder whose entries to replace; created if it does not exist.
    """
    settle(folder)
    writing = folder / _WRITING
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    yield writing
    writing.rename(folder / _READY)
    settle(folder)


def settle(folder: Path) -> None:
    """Finishes a replacement that was cut short after everything was written."""
    ready = folder / _READY
    if not ready.is_dir():
        return
    for entry in sorted(ready.iterdir()):
        old = folder / entry.name
        if old.is_dir():
            shutil.rmtree(old)
        entry.replace(old)
    ready.rmdir()
