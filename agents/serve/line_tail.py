"""Reads the lines that were appended to a file since it was last looked at."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textenv.plain_json import load_json
from textenv.safe_text import without_lone_surrogates

_REMEMBERED_BYTES = 64  # of what was read last, by which a file is known again


@dataclass(frozen=True)
class Appended:
    """What a look brought."""

    lines: tuple[tuple[int, bytes], ...]  # whole lines, each with its offset in bytes
    is_anew: bool  # whether the file was replaced or cut: what was read before is no more


_NOTHING = Appended((), False)


class LineTail:
    """A file that grows line by line.

    A last line without its end is left for later. A file that shrank, or that was replaced by
    another one, is read from its start. A look at a file that did not change costs one `stat`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] = ()  # device, inode, size and time of the last look
        self._read = 0  # bytes up to the end of the last whole line
        self._end = b""  # the last of them

    def look(self) -> Appended:
        """Returns the lines that are new; after `is_anew` these are all lines of the file."""
        try:
            seen = signature(stat_own_file(self.path))
            if seen == self._seen:
                return _NOTHING
            with self.path.open("rb") as file:
                is_anew = self._is_another(file, os.fstat(file.fileno()).st_ino)
                if is_anew:
                    self._read, self._end = 0, b""
                file.seek(self._read)
                new = file.read()
        except OSError:
            if not self._seen:
                return _NOTHING
            self._seen, self._read, self._end = (), 0, b""
            return Appended((), True)
        self._seen = seen
        return Appended(self._whole_lines(new), is_anew)

    def _is_another(self, file: Any, inode: int) -> bool:
        if not self._seen:
            return False
        if inode != self._seen[1]:
            return True
        # A file that replaced the one which replaced ours may have our inode.
        start = self._read - len(self._end)
        file.seek(start)
        return bool(file.read(len(self._end)) != self._end)

    def _whole_lines(self, new: bytes) -> tuple[tuple[int, bytes], ...]:
        whole = new[: new.rfind(b"\n") + 1]
        found = []
        offset = self._read
        for line in whole.split(b"\n")[:-1]:
            if line.strip():
                found.append((offset, line))
            offset += len(line) + 1
        self._read = offset
        self._end = (self._end + whole)[-_REMEMBERED_BYTES:]
        return tuple(found)


def stat_own_file(path: Path) -> os.stat_result:
    """Returns the status of a file that lies in its folder.

    Raises:
        OSError: There is none; or it is a link to elsewhere, or nothing that ends, such as a pipe.
    """
    found = os.stat(path)
    leads_out = path.is_symlink() and path.resolve().parent != path.parent.resolve()
    if leads_out or not stat.S_ISREG(found.st_mode):
        raise OSError(f"'{path}' is not a file of its folder")
    return found


def signature(found: os.stat_result) -> tuple[int, ...]:
    """Returns what tells whether a file is still the same: device, inode, size, time of change."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def parse_object(text: bytes) -> dict[str, Any] | None:
    """Reads a JSON object; None for anything else."""
    try:
        found = load_json(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    # Only an escape can bring half of a surrogate pair.
    return without_lone_surrogates(found) if b"\\ud" in text.lower() else found
