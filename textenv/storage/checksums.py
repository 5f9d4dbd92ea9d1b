"""A list of checksums beside the files that it is of, by which damage is found and named.

The list is JSON: for each file its size in bytes and BLAKE2b of 16 bytes, and the same of the list
itself. While a file is replaced, both its states are in the list, so that a process that dies in
between leaves nothing that looks damaged. Of a file that grows by lines, the list knows how far it
went when it was last noted; what follows is newer.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textenv.errors import DamagedError
from textenv.storage.whole_files import write_whole

FORMAT = 1
# List of what was saved at once: an agent, or a model. Other programs have a manifest.json.
MANIFEST = "textenv-manifest.json"
_BYTES_AT_A_TIME = 1 << 20
_DIGEST_BYTES = 16
MISSING = "is missing"
_MOST_DIGESTS = 10_000  # that are remembered
_LOOKS = 3  # at a file that another process may be replacing


@dataclass(frozen=True)
class State:
    """What a file held when it was noted."""

    size: int  # bytes
    digest: str  # BLAKE2b of these bytes, in hexadecimal digits
    grows: bool = False  # whether more bytes may follow

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {"size": self.size, "blake2b": self.digest} | ({"grows": True} if self.grows else {})


States = tuple[State, ...]


@dataclass
class Checksums:
    """The checksums of files.

    Attributes:
        path: File of the list; names of files are relative to its folder.
        files: States that each file may be in, by name.
        notes: What else the list tells, as plain values.
    """

    path: Path
    files: dict[str, States] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def save(self) -> None:
        """Writes the list."""
        files = {n: [s.to_json() for s in states] for n, states in sorted(self.files.items())}
        content = {"format": FORMAT, "files": files, "notes": self.notes}
        # Without a newline at its end, every byte counts.
        write_whole(self.path, json.dumps(content | {"blake2b": _seal(content)}, indent=1))

    def find_damage(self, names: Iterable[str] | None = None) -> list[str]:
        """Compares files with their checksums.

        Args:
            names: Files to look at; by default all of the list. Those that are not in the list are
                left out.

        Returns:
            A text for each damaged file: its path and what is wrong with it.
        """
        wanted = self.files if names is None else [name for name in names if name in self.files]
        told = (
            (name, find_difference(self.path.parent / name, self.files[name])) for name in wanted
        )
        return [f"'{self.path.parent / name}' {wrong}" for name, wrong in told if wrong]


def read_checksums(path: Path) -> Checksums | None:
    """Reads a list of checksums; None if there is none.

    Raises:
        DamagedError: The list itself is damaged, or was written by a newer version.
    """
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        content = json.loads(text)
        seal = content.pop("blake2b")
        if seal != _seal(content):
            raise ValueError(seal)
        if content["format"] > FORMAT:
            raise DamagedError(
                f"'{path}' was saved by a newer textenv (format {content['format']}; this one "
                f"reads {FORMAT}). Upgrade textenv."
            )
        files = {name: tuple(map(read_state, states)) for name, states in content["files"].items()}
        return Checksums(path, files, content["notes"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        size = "it is empty" if not text else "it is cut, or was changed"
        raise DamagedError(
            f"'{path}', the list of checksums, is damaged: {size}. Restore it from a copy. If you "
            "have none, delete it: nothing can tell then whether the files beside it are whole."
        ) from error


def read_state(data: Mapping[str, Any]) -> State:
    """Reads what `State.to_json` returned."""
    return State(data["size"], data["blake2b"], data.get("grows", False))


def list_files(folder: Path, path: Path) -> Checksums:
    """Makes the list of checksums of all files below a folder; `path` is that of the list."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != path)
    names: dict[str, States] = {
        file.relative_to(path.parent).as_posix(): (state_of(file),) for file in files
    }
    return Checksums(path, names)


def state_of(path: Path) -> State:
    """Returns the state of a file."""
    size = path.stat().st_size
    return State(size, _digest(path, size))


def state_of_text(text: str) -> State:
    """Returns the state of a file that holds a text."""
    content = text.encode()
    return State(len(content), _hash(content).hexdigest())


def find_difference(path: Path, states: Iterable[State]) -> str:
    """Says how a file differs from each of some states; "" if it is in one of them."""
    states = tuple(states)
    for _ in range(_LOOKS):
        wrong = _difference(path, states)
        if not wrong:
            break
    return wrong


def _difference(path: Path, states: States) -> str:
    try:
        size = path.stat().st_size
        for state in states:
            fits = size >= state.size if state.grows else size == state.size
            if fits and _digest(path, state.size) == state.digest:
                return ""
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    known = states[-1].size
    if not size:
        return f"is empty; it had {known:,} bytes"
    if size < known:
        return f"is cut: it has {size:,} of {known:,} bytes"
    return "is not what was saved: its checksum differs"


def check_listed(folder: Path, remedy: str = "Restore it from a copy.") -> None:
    """Checks the files below a folder against the manifest in it or beside it, if there is one.

    Raises:
        DamagedError: Files are damaged; they are named.
    """
    for of in (folder, folder.parent):
        manifest = read_checksums(of / MANIFEST)
        if manifest is None:
            continue
        under = "" if of == folder else f"{folder.name}/"
        wrong = manifest.find_damage(name for name in manifest.files if name.startswith(under))
        if wrong:
            raise DamagedError(f"{'; '.join(wrong)}. {remedy}")


class GrowingDigest:
    """The state of a file that grows, without reading it again."""

    def __init__(self, content: bytes = b"") -> None:
        self._hash, self.size = _hash(content), len(content)

    def add(self, content: bytes) -> None:
        """Adds bytes that were appended."""
        self._hash.update(content)
        self.size += len(content)

    @property
    def state(self) -> State:
        """The state so far."""
        return State(self.size, self._hash.hexdigest(), grows=True)


_digests: dict[tuple[str | int, ...], str] = {}
_changing = threading.Lock()  # lists are read, changed and written


@contextmanager
def changed_checksums(path: Path) -> Iterator[Checksums]:
    """Yields a list of checksums to change, and writes it afterwards."""
    with _changing:
        checksums = read_checksums(path) or Checksums(path)
        yield checksums
        checksums.save()


def write_checked(path: Path, text: str, listed_in: Path) -> None:
    """Writes a file as a whole, and its checksum into a list.

    Args:
        path: File to write.
        text: Its new content.
        listed_in: File of the list, in the file's folder or above it.
    """
    name = path.relative_to(listed_in.parent).as_posix()
    with changed_checksums(listed_in) as checksums:
        before = (state_of(path),) if path.is_file() else ()
        known = checksums.files.get(name, ())
        # What is damaged stays so until it is replaced.
        kept = tuple(state for state in known if state in before)
        checksums.files[name] = (*kept, state_of_text(text))
    write_whole(path, text)


def _seal(content: Mapping[str, Any]) -> str:
    return _hash(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _hash(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES)


def _digest(path: Path, size: int) -> str:
    """Returns the digest of the first bytes of a file; one that did not change is read once."""
    stat = path.stat()
    key = (str(path.absolute()), stat.st_ino, stat.st_size, stat.st_mtime_ns, size)
    if key in _digests:
        return _digests[key]
    found, left = _hash(), size
    with path.open("rb") as file:
        while left and (part := file.read(min(left, _BYTES_AT_A_TIME))):
            found.update(part)
            left -= len(part)
    if len(_digests) >= _MOST_DIGESTS:
        _digests.clear()
    _digests[key] = found.hexdigest()
    return _digests[key]
