"""Replaces entries of a folder so that a process that dies meanwhile leaves a whole set of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WRITING, _READY = ".saving", ".saved"


@contextmanager
def replacing_entries(folder: Path) -> Iterator[Path]:
    """Yields an empty folder; what is put there replaces the entries of the same names.

    Until everything is written nothing is replaced; from then on `settle` brings what is missing to
    its place, should the process die in between. Other entries stay as they are.

    Args:
        folder: Made if it does not exist.
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
