"""What a run was made with and what it warned of: versions, the data, warnings.

FOLDER/about.json has "versions" by package; "data", for each split the number of its examples and a
hash; "guarded", true where guards watched the run; "warnings", each message once; and "ending" if
the run was stopped or failed: its "error", or null. Unlike `result.json` it is there from the first
minute on.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agents.ppo.model_card import versions
from agents.training.checked_files import read_json, write_run_file
from agents.training.run_folder import ABOUT_FILE
from textenv.datasets.base import TextDataset
from textenv.episode import TextCore
from textenv.errors import DamagedError, StorageError

_LOGGERS = ("textenv", "agents")
_HASHED = 256  # examples of a split that are hashed
_MOST_WARNINGS = 100
_MORE = "The run gave more warnings than are kept; its output has them all."


class About(logging.Handler):
    """What `about.json` holds; it is written anew with each warning.

    Args:
        folder: The run's folder. Until it exists nothing is written.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.WARNING)
        self._path = folder / ABOUT_FILE
        self._content: dict[str, Any] = {"versions": versions(), "data": {}, "guarded": True}
        self._warnings: list[str] = read_json(self._path).get("warnings", [])

    def describe_data(self, core: TextCore, splits: Iterable[str]) -> None:
        """Notes the number of examples of some splits, and a hash of each."""
        for split in splits:
            dataset = core.dataset(split)
            self._content["data"][split] = {
                "examples": len(dataset),
                "hash": hash_examples(dataset),
            }

    def emit(self, record: logging.LogRecord) -> None:
        """Notes a warning."""
        message = record.getMessage()
        if message in self._warnings or len(self._warnings) > _MOST_WARNINGS:
            return
        is_last = len(self._warnings) == _MOST_WARNINGS
        self._warnings.append(_MORE if is_last else message)
        try:
            self.save()
        except StorageError:  # a disk that is full must not turn a warning into an error
            self.handleError(record)

    def describe_ending(self, error: BaseException) -> None:
        """Notes that the run was stopped by a signal, or which error ended it."""
        is_stopped = isinstance(error, KeyboardInterrupt)
        told = None if is_stopped else f"{type(error).__name__}: {error}"
        self._content["ending"] = {"error": told}
        with suppress(StorageError, DamagedError):  # the error of the run is the one to see
            self.save()

    def save(self) -> None:
        """Writes the file, if the folder exists."""
        if self._path.parent.is_dir():
            content = self._content | {"warnings": self._warnings}
            write_run_file(self._path, json.dumps(content, indent=2))


def find_failure(about: Mapping[str, Any]) -> str:
    """Returns the error that ended a run, as its `about.json` tells it; empty for none."""
    ending = about.get("ending")
    return str(ending.get("error") or "") if isinstance(ending, Mapping) else ""


@contextmanager
def noted(folder: Path) -> Iterator[About]:
    """Notes in a run's `about.json` what the packages warn of meanwhile, and how it ended early."""
    about = About(folder)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addHandler(about)
    try:
        yield about
    except BaseException as error:
        about.describe_ending(error)
        raise
    finally:
        for logger in loggers:
            logger.removeHandler(about)


def hash_examples(dataset: TextDataset) -> str:
    """Returns a hash of 256 examples spread evenly over a split, or of all if there are fewer.

    It is taken over the number of examples and their ids, prompts and references: 16 hexadecimal
    digits of BLAKE2b.
    """
    n = len(dataset)
    hashed = min(n, _HASHED)
    digest = hashlib.blake2b(f"{n}\n".encode(), digest_size=8)
    for i in range(hashed):
        example = dataset[i * n // hashed]
        digest.update(json.dumps([example.id, example.prompt, *example.references]).encode())
    return digest.hexdigest()
