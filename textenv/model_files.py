"""What a folder of a model may not hold: weights as pickles, and kernels by name. Both are code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from textenv.errors import ModelError
from textenv.plain_json import load_json
from textenv.storage.plain_files import check_plain_files

_PLAIN = ("*.safetensors", "*.gguf")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_INDEX = ".safetensors.index.json"
# The keys of a configuration by which transformers is told which attention, or which routing of
# experts, to use
_IMPLEMENTATIONS = ("attn_implementation", "experts_implementation")
# The key that names another file of weights, which transformers reads though it is a pickle
_OTHER_WEIGHTS = "transformers_weights"
_ADAPTER = "adapter_config.json"
_ADAPTER_WEIGHTS = "adapter_model.safetensors"


def check_model_files(folder: Path) -> None:
    """Checks the files of a local model or adapter; of another name nothing is checked.

    Raises:
        ModelError: Its weights are pickles or lie elsewhere, or its configuration names code of the
            hub or cannot be read.
        DamagedError: It holds a pipe or a device.
    """
    if not folder.is_dir():
        return
    check_plain_files(folder)
    pickles = [path for pattern in _PICKLES for path in sorted(folder.glob(pattern))]
    if pickles and not any(any(folder.glob(pattern)) for pattern in _PLAIN):
        raise _pickle(pickles[0])
    _check_adapter(folder, pickles)
    for index in sorted(folder.glob(f"*{_INDEX}")):
        _check_shards(index)
    _check_config(folder / "config.json")


def _check_adapter(folder: Path, pickles: list[Path]) -> None:
    if not (folder / _ADAPTER).is_file():
        return
    if any(folder.glob("model*.safetensors")):
        raise ModelError(
            f"'{folder}' holds a whole model and an adapter of peft, so that it is not clear which "
            f"of them is meant. Move '{_ADAPTER}' and its weights into a folder of their own."
        )
    if pickles and not (folder / _ADAPTER_WEIGHTS).is_file():
        raise _pickle(pickles[0])


def _check_shards(index: Path) -> None:
    """Checks the list of the files that weights are divided into, each beside the list."""
    content = _read(index)
    shards = content.get("weight_map") if isinstance(content, dict) else None
    for name in shards.values() if isinstance(shards, dict) else [None]:
        if not isinstance(name, str):
            raise ModelError(f"'{index}' does not name the files of weights as transformers does.")
        if not name.endswith(".safetensors"):
            raise _pickle(index.parent / name)
        if name != Path(name).name:
            raise ModelError(
                f"'{index}' names the file '{name}', which lies outside of its folder, so it is "
                "not read."
            )


def _check_config(path: Path) -> None:
    if not path.is_file():
        return  # whoever needs one says that there is none
    for key, value in _entries(_read(path)):
        if key == _OTHER_WEIGHTS and value is not None:
            if not str(value).endswith((".safetensors", _INDEX)):
                raise _pickle(path.parent / str(value))
            if str(value) != Path(str(value)).name:
                raise ModelError(f"'{path}' names weights outside of its folder: '{value}'.")
        if str(key).strip("_").removesuffix("_internal") not in _IMPLEMENTATIONS:
            continue
        for name in _texts(value):
            if "/" in name:
                raise ModelError(
                    f"'{path}' asks for the kernel '{name}', which is code of the hub. Remove its "
                    f"key '{key}'."
                )


def _read(path: Path) -> Any:
    try:
        return load_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"'{path}' cannot be read: {error}.") from error


def _pickle(path: Path) -> ModelError:
    return ModelError(
        f"'{path.parent}' holds its weights as a pickle ('{path.name}'), which can run code, so it "
        "is not read. If you trust it, save it once as safetensors: load it in transformers, and "
        "call save_pretrained."
    )


def _entries(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yields the keys and values of all objects in a JSON value; parts have their own settings."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
