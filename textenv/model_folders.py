"""Names of models that are paths: a run's folder stands for the `model/` inside it."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from textenv.named_paths import named_path

USE_LOCAL = "Use a local folder, or the model that comes with the package: 'embedded'."


def model_folder(model: str) -> str:
    """Returns the folder `model/` of a run's folder; any other name of a model as it is."""
    folder = named_path(model)
    is_run = (folder / "model" / "config.json").is_file() and not (folder / "config.json").is_file()
    return str(folder / "model") if is_run else model


def describe_missing(model: str | Path, what: str = "model") -> str | None:
    """Says that a path leads nowhere.

    Args:
        model: Name of a model.
        what: What is looked for there.

    Returns:
        A message; None if something is there, or the name may be one of the hub.
    """
    path = named_path(model)
    if path.exists() or not _is_path(model):
        return None
    siblings = os.listdir(path.parent) if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, siblings, n=1)
    hint = f"Did you mean '{path.parent / close[0]}'?" if close else USE_LOCAL
    return f"There is no {what} at '{model}'. {hint}"


def _is_path(model: str | Path) -> bool:
    """Says whether a name can only be a path: ids have the form name or owner/name."""
    text = str(model)
    return (
        isinstance(model, Path)
        or text.startswith((".", "/", "~"))
        or text.endswith((".gguf", "/"))
        or "\\" in text
        or text.count("/") > 1
        or ("/" in text and Path(text).parent.is_dir())
    )
