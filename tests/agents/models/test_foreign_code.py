"""A folder's own code is never run, nor does anything ask whether to run it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import textenv
from agents import load_model_tokenizer
from agents.models.loading import load_model
from textenv.errors import TextEnvError
from textenv.tokenization import EMBEDDED, load_tokenizer

ASSETS = Path(textenv.__file__).parent / "assets" / EMBEDDED


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model of a type of its own, whose code leaves a mark, and somebody who says yes to all."""
    folder = shutil.copytree(ASSETS, tmp_path / "model")
    mark = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w')\nclass C: pass\n")
    for name, key in (("config.json", "AutoConfig"), ("tokenizer_config.json", "AutoTokenizer")):
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        classes = {key: "own.C", "AutoModelForCausalLM": "own.C"}
        settings |= {"auto_map": classes, "tokenizer_class": "OwnTokenizer"}
        settings |= {"model_type": "own"} if name == "config.json" else {}
        (folder / name).write_text(json.dumps(settings), encoding="utf-8")
    asked = []
    monkeypatch.setattr("builtins.input", lambda *question: asked.append(question) or "y")
    yield folder
    assert asked == []
    assert not mark.exists()


@pytest.mark.parametrize("load", [load_tokenizer, load_model, load_model_tokenizer])
def test_a_folders_own_code_is_not_run(folder, load):
    with pytest.raises(TextEnvError, match=r"cannot be loaded|Cannot load"):
        load(str(folder))
