"""A model whose files are cut, empty or of another kind is refused in one line. Nothing is run."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.models.loading import load_model, load_model_tokenizer
from textenv.errors import ModelError

_EMBEDDED = Path(__file__).parents[3] / "textenv/assets/embedded"


class _Runs:
    def __reduce__(self) -> Any:
        return print, ("it ran",)


def cut(name: str, n: int) -> Any:
    def spoil(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:n])

    return spoil


def pickled(content: Any) -> Any:
    def spoil(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        path = folder / "pytorch_model.bin"
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)

    return spoil


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (cut("model.safetensors", 1000), "a file is cut, damaged or of another kind"),
        (cut("model.safetensors", 0), "a file is cut, damaged or of another kind"),
        (cut("config.json", 50), "config.json' cannot be read: Expecting"),
        (cut("tokenizer.json", 5000), "The tokenizer of the model"),
        (cut("tokenizer_config.json", 20), "The tokenizer of the model"),
        (pickled({"a": _Runs()}), "holds its weights as a pickle"),
        (pickled(pickle.dumps({"a": _Runs()})), "holds its weights as a pickle"),
        (pickled(b"hello" * 100), "holds its weights as a pickle"),
        (pickled(b""), "holds its weights as a pickle"),
    ],
)
def test_a_damaged_or_foreign_file_of_a_model_is_said(tmp_path, capsys, spoil, told):
    folder = shutil.copytree(_EMBEDDED, tmp_path / "model")
    spoil(folder)

    def load() -> None:
        load_model(folder)
        load_model_tokenizer(folder)

    with pytest.raises(ModelError, match=told) as found:
        load()
    assert "\n" not in str(found.value)
    assert "it ran" not in capsys.readouterr().out
