"""Checks that a file or folder can be written, before the work whose result goes there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection
from pathlib import Path

from textenv.errors import ConfigError


def check_file(path: Path) -> None:
    """Checks that a file can be written; its folder is made later.

    Raises:
        ConfigError: The path is a folder, or lies where nothing can be written.
    """
    if path.is_dir():
        raise ConfigError(f"'{path}' cannot be written: it is a folder. Name a file.")
    _check_place(path)


def check_new_folder(path: Path, besides: Collection[str] = ()) -> None:
    """Checks that a folder is empty or missing, and can be written.

    Args:
        path: Folder.
        besides: Names that it may hold.

    Raises:
        ConfigError: It holds something, is a file, or lies where nothing can be written.
    """
    if path.exists() and (
        not path.is_dir() or any(entry.name not in besides for entry in path.iterdir())
    ):
        raise ConfigError(f"'{path}' already exists and is not empty. Choose another --out.")
    _check_place(path)


def _check_place(path: Path) -> None:
    place = path.absolute()
    while not os.path.lexists(place):
        place = place.parent
    if place != path.absolute() and not place.is_dir():
        raise ConfigError(f"'{path}' cannot be written: '{place}' is no folder.")
    try:
        if place.is_dir():
            tempfile.TemporaryFile(dir=place).close()
        else:
            place.open("ab").close()
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written: {error.strerror}.") from error
