"""Puts errors of disks and folders into the user's words."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textenv.errors import StorageError

_REMEDIES = {
    errno.ENOSPC: "The disk is full: free some space there",
    errno.EDQUOT: "Your quota is spent: free some space there",
    errno.EROFS: "It lies on a read-only file system: choose another folder",
    errno.EACCES: "Give this user the right to read and write there, or choose another folder",
    errno.EPERM: "Give this user the right to read and write there, or choose another folder",
    errno.EIO: "The disk or the network drive fails: check it before you trust what lies there",
    errno.ENOENT: "A file or folder is gone: it was deleted, moved or replaced by something else",
    errno.ESTALE: "The network drive has lost it: mount it again",
    errno.ENOTDIR: "There is a file where a folder should be: move it away",
    errno.EISDIR: "There is a folder where a file should be: move it away",
    errno.ELOOP: "Links point at each other in a circle: remove them",
    errno.EXDEV: "A link leads to another disk: put the folder itself there, not a part of it",
    errno.ENOTEMPTY: "Something else was written there meanwhile: move it away",
    errno.EFBIG: "The file would be larger than this user or disk may have: see 'ulimit -f'",
    errno.EMFILE: "Too many files are open: raise 'ulimit -n'",
    errno.ENAMETOOLONG: "Choose a shorter name",
}
# Rust's libraries tell the number of an error in their text alone.
_NUMBER = re.compile(r"\(os error (\d+)\)")


def describe_fault(error: BaseException, place: Path | None = None) -> str | None:
    """Describes an error of a disk or folder in one line, with what to do about it.

    Args:
        error: An exception.
        place: What was written or read, where the error does not say.

    Returns:
        The line, without a full stop at its end; None if the error is of another kind.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None:
        told = _NUMBER.search(str(error))
        if told is None:
            return None
        number = int(told[1])
    named = error.filename if isinstance(error, OSError) else None
    name = place if named is None or isinstance(named, int) else os.fsdecode(named)
    reason = os.strerror(number)
    where = "A file" if name is None else f"'{name}'"
    remedy = _REMEDIES.get(number, "Check the folder and the disk")
    return f"{where} cannot be written or read: {reason}. {remedy}"


@contextmanager
def storage_faults(place: Path, kept: str = "") -> Iterator[None]:
    """Turns errors of a disk or folder into a `StorageError` of one line.

    Args:
        place: What is written or read.
        kept: A sentence that says what is kept.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:  # the classes of Rust's libraries are their own
        told = describe_fault(error, place)
        if told is None:
            raise
        raise StorageError(f"{told}. {kept}".rstrip()) from error
