"""Names of runs' folders: says what is wrong with one that holds no run."""

from __future__ import annotations

import difflib
from pathlib import Path

_CONFIG = "config.yaml"


def describe_no_run(folder: Path) -> str:
    """Says that a folder holds no run, and which folder beside it may be meant."""
    message = f"'{folder}' holds no run: there is no {_CONFIG}."
    beside = [path.parent.name for path in folder.parent.glob(f"*/{_CONFIG}")]
    # Names of runs are short, and one may end in another's.
    close = difflib.get_close_matches(folder.name, beside, n=1, cutoff=0.5)
    if close:
        return f"{message} Did you mean '{folder.parent / close[0]}'?"
    return f"{message} Name the folder that textenv train wrote; it prints 'Files in FOLDER'."
