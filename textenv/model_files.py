"""What a folder of a model may not hold: weights as pickles, and kernels by name. Both are code."""

from __future__ import annotations

from pathlib import Path

from textenv.errors import ModelError
from textenv.plain_json import load_json

_PLAIN = ("*.safetensors", "*.gguf")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
# The keys of a configuration by which transformers is told which attention to use
_ATTENTION = ("attn_implementation", "_attn_implementation")


def check_model_files(folder: Path) -> None:
    """Checks the files of a local model or adapter; of another name nothing is checked.

    Raises:
        ModelError: Its weights are pickles alone, or its configuration names code of the hub.
    """
    if not folder.is_dir():
        return
    pickles = [path.name for pattern in _PICKLES for path in sorted(folder.glob(pattern))]
    if pickles and not any(any(folder.glob(pattern)) for pattern in _PLAIN):
        raise ModelError(
            f"'{folder}' holds its weights as a pickle ('{pickles[0]}'), which can run code, so it "
            "is not read. If you trust it, save it once as safetensors: load it in transformers, "
            "and call save_pretrained."
        )
    try:
        config = load_json((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return  # whoever reads it says what is wrong
    for key in _ATTENTION:
        value = config.get(key) if isinstance(config, dict) else None
        names = value.values() if isinstance(value, dict) else [value]
        for name in names:
            if isinstance(name, str) and "/" in name:
                raise ModelError(
                    f"'{folder / 'config.json'}' asks for the kernel '{name}', which is code of "
                    f"the hub. Remove its key '{key}'."
                )
