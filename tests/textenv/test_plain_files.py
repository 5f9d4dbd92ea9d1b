"""Folders of others that hold pipes or devices, which reading would wait for, or never end with."""

from __future__ import annotations

import os

import pytest

from textenv.errors import DamagedError
from textenv.model_files import check_model_files
from textenv.named_code import check_code
from textenv.storage.plain_files import RUN_LEVELS, check_plain_files
from textenv.tokenization import load_tokenizer

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")


@pytest.fixture(params=["pipe", "device"])
def make_odd(request):
    """Makes what is no file in the place of a file."""

    def make(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path) if request.param == "pipe" else path.symlink_to(os.devnull)

    return make


@pytest.mark.parametrize("place", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_model_is_refused_before_anything_is_read(tmp_path, make_odd, place):
    make_odd(tmp_path / place)
    with pytest.raises(DamagedError, match=rf"{place}' is no file but a pipe or a device"):
        check_model_files(tmp_path)
    with pytest.raises(DamagedError, match="pipe or a device"):
        load_tokenizer(str(tmp_path))


@pytest.mark.parametrize("place", ["config.yaml", "agent.json", "checkpoints/3/model/config.json"])
@pytest.mark.parametrize("allow_code", [False, True])
def test_a_run_is_refused_before_its_configuration_is_read(tmp_path, make_odd, place, allow_code):
    make_odd(tmp_path / place)
    with pytest.raises(DamagedError, match="pipe or a device"):
        check_code(tmp_path / "config.yaml", allow_code)


def test_files_folders_and_links_to_them_pass(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    (tmp_path / "linked").symlink_to("model")
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "leads nowhere").symlink_to("nothing")
    check_plain_files(tmp_path, RUN_LEVELS)
    check_plain_files(tmp_path / "not there", RUN_LEVELS)
