"""Where a model is: the embedded one, a folder, a run, a GGUF file, a peft adapter or the hub."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import textenv
from textenv.adapter_folders import CONFIG, base_of_adapter
from textenv.errors import ModelError, TextEnvError
from textenv.hub import offline_if_unreachable
from textenv.model_files import check_model_files
from textenv.model_folders import USE_LOCAL, describe_missing, model_folder
from textenv.named_paths import named_path
from textenv.resource_faults import describe_resource_fault
from textenv.storage.checksums import check_listed
from textenv.tokenization import EMBEDDED


class Source(NamedTuple):
    """Where a model is: a folder or a Hugging Face id, and for GGUF the file in the folder."""

    name: str
    gguf_file: str | None
    adapter: Path | None = None  # An adapter of peft that belongs to it

    def arguments(self) -> dict[str, Any]:
        """Returns what every `from_pretrained` is given; downloaded code is never run."""
        found = {"pretrained_model_name_or_path": self.name, "trust_remote_code": False}
        return found | ({"gguf_file": self.gguf_file} if self.gguf_file else {})


def _find(model: str | Path) -> Source:
    """Tells folders, files and Hugging Face ids apart."""
    if str(model) == EMBEDDED:
        return Source(str(Path(textenv.__file__).parent / "assets" / EMBEDDED), None)
    path = named_path(model_folder(str(model)))
    if path.suffix == ".gguf" and path.is_file():
        # transformers reads the format with the one, and fills the model with the other.
        if not all(importlib.util.find_spec(package) for package in ("gguf", "accelerate")):
            raise ModelError("Reading GGUF files needs more packages: pip install textenv[gguf]")
        return Source(str(path.parent), path.name)
    if path.is_dir():
        base = base_of_adapter(path)
        if base is None:
            return Source(str(path), None)
        try:
            return _find(base)._replace(adapter=path)
        except ModelError as error:
            raise ModelError(_no_base(model, base, str(error))) from error
    if path.is_file():
        raise ModelError(f"'{model}' is a file. Give the folder that it lies in, or a .gguf file.")
    missing = describe_missing(model)
    if missing is not None:
        raise ModelError(missing)
    return Source(str(model), None)


@contextmanager
def found(model: str | Path, what: str = "model") -> Iterator[Source]:
    """Yields where a model is, and puts transformers' errors into the user's words."""
    source = _find(model)
    for folder in (Path(source.name), source.adapter):
        if folder is not None:
            check_model_files(folder)
    if Path(source.name).is_dir():
        check_listed(Path(source.name))
    try:
        with offline_if_unreachable(source.name):
            yield source
    except Exception as error:
        # Damaged files raise errors of many kinds: of safetensors, pickle, zip, JSON, torch.
        if isinstance(error, TextEnvError) or describe_resource_fault(error) is not None:
            raise
        detail = _describe(error)
        if source.adapter is not None:
            raise ModelError(_no_base(model, source.name, detail)) from error
        if isinstance(error, OSError) and not Path(source.name).exists():
            raise ModelError(
                f"There is no folder '{model}', and the Hugging Face Hub cannot be reached or has "
                f"no such model. {USE_LOCAL} ({detail})"
            ) from error
        raise ModelError(f"The {what} '{model}' cannot be loaded: {detail}") from error


def _describe(error: Exception) -> str:
    """Says in one line why a model cannot be loaded."""
    detail = str(error).strip().partition("\n")[0] or "no reason is given"
    if isinstance(error, OSError | ValueError | ImportError):
        return detail
    return f"a file is cut, damaged or of another kind ({type(error).__name__}: {detail})"


def _no_base(adapter: str | Path, base: str, detail: str) -> str:
    return (
        f"'{adapter}' is an adapter of peft; its base model '{base}' cannot be loaded: {detail} "
        f"Put it there, or name its place in base_model_name_or_path of {CONFIG}."
    )
