"""Keeps the answers of an endpoint on disk, one file for each."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from textenv.errors import StorageError


def default_cache_folder(name: str) -> Path:
    """Returns where this user's answers of a kind are kept; the folder need not exist.

    It is below the environment variable XDG_CACHE_HOME, or else below ~/.cache.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "textenv" / name


@dataclass(frozen=True)
class AnswerCache:
    """Answers by key, on disk, in a folder that is made when the first one is kept.

    Many threads and processes may share a folder: a file is written aside and then put in its
    place, so that a reader sees all of it or none. What cannot be read counts as not there.
    """

    folder: Path

    def get(self, key: str) -> str | None:
        """Returns the answer that is kept under a key, if there is one and it is whole."""
        try:
            entry = json.loads(self._path(key).read_text(encoding="utf-8"))
            answer = entry["answer"] if entry["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return answer if isinstance(answer, str) else None

    def put(self, key: str, answer: str) -> None:
        """Keeps an answer under a key of hexadecimal digits, or raises a StorageError."""
        path = self._path(key)
        temporary: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(
                "w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8"
            ) as file:
                temporary = Path(file.name)
                json.dump({"key": key, "answer": answer}, file)
            os.replace(temporary, path)
        except OSError as error:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise StorageError(
                f"Answers cannot be kept in '{self.folder}': {error}. Name another folder by the "
                "option cache, or keep none: cache=False, or --cache none."
            ) from error

    def _path(self, key: str) -> Path:
        # Two digits of folders keep each of them small.
        return self.folder / key[:2] / f"{key[2:]}.json"
