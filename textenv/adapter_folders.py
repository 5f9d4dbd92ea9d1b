"""Folders of peft adapters, which name the model that they belong to."""

from __future__ import annotations

from pathlib import Path

from textenv.errors import ModelError
from textenv.named_paths import named_path
from textenv.plain_json import load_json

CONFIG = "adapter_config.json"
_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin", "*.gguf")


def base_of_adapter(folder: str | Path) -> str | None:
    """Returns the model that an adapter's folder names as its base; None for other folders.

    A folder that holds a whole model besides is taken as that model. A relative path is looked for
    from the working directory, then from the adapter's folder.

    Raises:
        ModelError: It names none, or another adapter.
    """
    path = named_path(folder)
    if not _is_adapter(path):
        return None
    try:
        named = load_json((path / CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError):
        named = None
    if not isinstance(named, str) or not named:
        raise ModelError(
            f"'{folder}' holds an adapter of peft, but its {CONFIG} names no base model. Write the "
            "base's folder or Hugging Face id into base_model_name_or_path."
        )
    beside = path / named
    base = str(beside) if not named_path(named).exists() and beside.exists() else named
    if _is_adapter(named_path(base)):
        raise ModelError(
            f"'{folder}' is an adapter of '{base}', which is an adapter itself. Merge that one "
            "into its base model, save the result, and name it in base_model_name_or_path."
        )
    return base


def _is_adapter(path: Path) -> bool:
    return (path / CONFIG).is_file() and not any(any(path.glob(name)) for name in _WEIGHTS)


def has_tokenizer(folder: str | Path) -> bool:
    """Tells whether a tokenizer was saved beside an adapter."""
    return (named_path(folder) / "tokenizer_config.json").is_file()
