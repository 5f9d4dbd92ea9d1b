from __future__ import annotations

import shutil
import time
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants

from textenv.datasets.reading import read_hub
from textenv.errors import DatasetError, TokenizerError
from textenv.hub import offline_if_unreachable
from textenv.tokenization import EMBEDDED_PATH, load_tokenizer


@pytest.fixture(autouse=True)
def online(monkeypatch):
    """Whatever the machine's own settings are, the network is not switched off."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(monkeypatch):
    """A hub that answers every question with one status, or not at all."""

    def set_status(status):
        asked = []

        def head(url, timeout):
            asked.append(url)
            if status is None:
                raise ConnectionError("no route to host")
            return SimpleNamespace(status_code=status)

        monkeypatch.setattr(huggingface_hub, "get_session", lambda: SimpleNamespace(head=head))
        return asked

    return set_status


@pytest.fixture
def unreachable(monkeypatch):
    """A hub at a port that nobody listens at; gives the waits before further tries."""
    waits = []
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@pytest.mark.parametrize(
    ("status", "offline"), [(None, True), (503, True), (200, False), (404, False)]
)
def test_only_a_hub_that_does_not_answer_is_left_out(hub, status, offline):
    hub(status)
    with offline_if_unreachable("owner/model"):
        assert offline == constants.HF_HUB_OFFLINE
    assert constants.HF_HUB_OFFLINE is False


def test_the_switch_is_put_back_after_an_error_and_when_the_user_had_set_it(hub, monkeypatch):
    hub(None)
    with pytest.raises(KeyError), offline_if_unreachable("owner/model"):
        raise KeyError
    assert constants.HF_HUB_OFFLINE is False
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = hub(200)
    with offline_if_unreachable("owner/model"):
        assert constants.HF_HUB_OFFLINE is True
    assert constants.HF_HUB_OFFLINE is True
    assert not asked


def test_the_hub_is_not_asked_about_a_folder(hub, tmp_path):
    asked = hub(200)
    with offline_if_unreachable(str(tmp_path)):
        pass
    assert not asked


def test_without_a_network_an_unknown_id_fails_without_another_try(unreachable):
    with pytest.raises(TokenizerError, match="nobody/nothing"):
        load_tokenizer("nobody/nothing")
    with pytest.raises(DatasetError, match="nobody/nothing"):
        read_hub("nobody/nothing", name=None, revision=None, split=None)
    assert not unreachable


def test_without_a_network_what_is_cached_loads(unreachable, monkeypatch, tmp_path):
    repository = tmp_path / "models--owner--cached"
    commit = "0" * 40
    shutil.copytree(EMBEDDED_PATH, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    loaded = load_tokenizer("owner/cached")
    assert loaded.vocab_size == load_tokenizer("embedded").vocab_size
    assert not unreachable
