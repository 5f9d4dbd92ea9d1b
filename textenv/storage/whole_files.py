"""Writes files that are whole or absent, whenever the process or the machine stops."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from textenv.storage.folder_lock import check_held


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that it is either as before or as it should be, on the disk, too.

    Raises:
        StorageError: The folder, which this process has locked, was deleted or replaced.
        OSError: The file cannot be written; the one before is kept.
    """
    check_held(path.parent)
    if path.is_symlink():
        path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")  # a pipe, or a terminal
        return
    writing = path.with_name(f".{path.name}.writing")
    try:
        with writing.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(writing, path)
    except BaseException:
        with suppress(OSError):
            writing.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Waits until a file's content is on the disk."""
    # Windows syncs only what is open for writing.
    with path.open("r+b" if sys.platform == "win32" else "rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk, where the system can."""
    if sys.platform == "win32":
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sync_tree(folder: Path) -> None:
    """Waits until every file and every name below a folder is on the disk."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            sync_tree(entry)
        else:
            sync_file(entry)
    sync_folder(folder)


def remove_entry(path: Path) -> None:
    """Removes a file, or a folder with what it holds; of a link, the link alone."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    elif path.exists():
        shutil.rmtree(path)
