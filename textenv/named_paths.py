"""Paths that people name: in arguments, options and files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from textenv.errors import ConfigError

_SHOWN = 60  # characters of a name that is too long


def named_path(name: str | os.PathLike[str]) -> Path:
    """Returns the path that a name stands for, whether or not anything lies there.

    Unlike `Path.expanduser`, a name that begins with "~" and no user's name stays as it is.

    Raises:
        ConfigError: The name is longer than the system allows, so nothing can lie there.
    """
    try:
        path = Path(os.path.expanduser(name))
    except ValueError:
        return Path(name)  # a null byte behind "~": nothing lies there
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ConfigError(
                f"'{str(name)[:_SHOWN]}…' is too long for the name of a file or folder: it has "
                f"{len(str(name)):,} characters."
            ) from None
    except ValueError:
        pass  # a null byte: nothing lies there
    return path
