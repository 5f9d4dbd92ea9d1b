"""Locks a folder, so that one process alone writes to it.

The lock is one of the operating system's on the file `.lock` in the folder: it ends with its
process, however that ends. The file tells who holds it.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from textenv.errors import FolderInUseError, StorageError
from textenv.storage.faults import storage_faults

LOCK_FILE = ".lock"
# What an attempt on a lock that another holds fails with, by system.
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Held:
    """A lock of this process."""

    folder: Path  # as it was named
    number: int  # of the open file

    def is_in_place(self) -> bool:
        """Tells whether the folder is still the one that was locked."""
        try:
            return os.path.samestat(os.fstat(self.number), os.stat(self.folder / LOCK_FILE))
        except OSError:
            return False


_held: dict[Path, _Held] = {}  # by absolute path


@contextmanager
def locked(folder: Path, what: str = "run", remedy: str = "Wait for it to end.") -> Iterator[None]:
    """Locks a folder for the time of the context; makes it if it does not exist.

    Args:
        folder: Folder to lock.
        what: What another process that holds the lock is called.
        remedy: What to do if there is one.

    Raises:
        FolderInUseError: Another process, or another part of this one, has locked the folder.
        StorageError: The folder cannot be made or written to.
    """
    name = Path(os.path.abspath(folder))
    if name in _held:
        raise FolderInUseError(_taken(folder, what, f" (this process, {os.getpid()})", remedy))
    with storage_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        number = _open_locked(folder, what, remedy)
    _held[name] = held = _Held(name, number)
    try:
        yield
    finally:
        del _held[name]
        # While it is locked nobody else takes it for theirs; later it may be another's.
        if held.is_in_place():
            with suppress(OSError):
                (name / LOCK_FILE).unlink()
        os.close(number)


def check_free(folder: Path, what: str = "run", remedy: str = "Wait for it to end.") -> None:
    """Checks that nobody has locked a folder; the arguments are those of `locked`.

    Raises:
        FolderInUseError: Somebody has.
    """
    if (folder / LOCK_FILE).is_file():
        with locked(folder, what, remedy):
            pass


def holds(folder: Path) -> bool:
    """Tells whether this process has locked a folder."""
    return Path(os.path.abspath(folder)) in _held


def check_held(folder: Path) -> None:
    """Checks that a folder, or one above it that this process has locked, is still the same.

    Raises:
        StorageError: It was deleted, or another folder is in its place.
    """
    name = Path(os.path.abspath(folder))
    for held in list(_held.values()):
        if (held.folder == name or held.folder in name.parents) and not held.is_in_place():
            raise StorageError(
                f"The folder '{held.folder}' was deleted, moved or replaced while this process "
                "wrote to it. Nothing more is written there. If you moved it, go on from where it "
                "is now; if not, start again with another folder."
            )


def _open_locked(folder: Path, what: str, remedy: str) -> int:
    path = folder / LOCK_FILE
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(number)
        except OSError as error:
            holder = _holder(number)
            os.close(number)
            if error.errno in _TAKEN:
                raise FolderInUseError(_taken(folder, what, holder, remedy)) from error
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
                raise
            _log.warning(
                f"'{folder}' lies where nothing can be locked ({error.strerror}): see to it "
                "yourself that no other process writes to it."
            )
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        # The one who held it before may have removed the file in between.
        with suppress(OSError):
            if os.path.samestat(os.fstat(number), os.stat(path)):
                break
        os.close(number)
    me = {"pid": os.getpid(), "host": socket.gethostname()}
    # On Windows the first bytes of a locked file cannot be read by others, so they stay empty.
    os.lseek(number, 1, os.SEEK_SET)
    os.write(number, json.dumps(me).encode())
    os.ftruncate(number, os.lseek(number, 0, os.SEEK_CUR))
    return number


if sys.platform == "win32":
    import msvcrt

    def _lock(number: int) -> None:
        os.lseek(number, 0, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(number: int) -> None:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(number: int) -> str:
    """Says who holds a lock, as its file tells it."""
    try:
        os.lseek(number, 1, os.SEEK_SET)
        told = json.loads(os.read(number, 1000))
        return f" (process {int(told['pid'])} on {str(told['host'])!r})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _taken(folder: Path, what: str, holder: str, remedy: str) -> str:
    return f"Another {what} is at work in '{folder}'{holder}. {remedy}"


def _forget_in_child() -> None:
    """A child of this process shares the open file, and would keep the lock when this one dies."""
    for held in _held.values():
        with suppress(OSError):
            os.close(held.number)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
