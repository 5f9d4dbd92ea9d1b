"""Refuses folders that hold pipes or devices, which reading would never come to an end of.

An archive can hold pipes, and links to devices such as /dev/zero.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from textenv.errors import DamagedError

RUN_LEVELS = 4  # of a run's folder: FOLDER/checkpoints/N/model


def check_plain_files(folder: Path, levels: int = 1) -> None:
    """Checks that a folder holds files and folders alone; what cannot be looked at passes.

    Args:
        folder: Folder to look at.
        levels: How many levels of folders are looked at: 1 for the folder alone.

    Raises:
        DamagedError: It holds something else.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return  # whoever reads there says what is wrong
    for entry in entries:
        try:
            mode = entry.stat().st_mode
        except OSError:
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise DamagedError(
                f"'{entry.path}' is no file but a pipe or a device, so it is not read. Remove it."
            )
        if levels > 1 and entry.is_dir(follow_symlinks=False):
            check_plain_files(Path(entry.path), levels - 1)
