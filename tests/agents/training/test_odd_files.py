"""A run's folder with a pipe in the place of a file: each reader names it, and does not wait."""

from __future__ import annotations

import os

import pytest

from agents.ppo.kept_checkpoints import check_whole
from agents.training.report.run_record import read_run
from agents.training.run_check import check_run
from textenv.errors import DamagedError


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
@pytest.mark.parametrize("name", ["agent.json", "textenv-manifest.json", "checksums.json"])
@pytest.mark.parametrize("read", [check_run, check_whole, read_run])
def test_it_is_named(tmp_path, name, read):
    (tmp_path / "config.yaml").write_text("id: TextQA-v0\n")
    os.mkfifo(tmp_path / name)
    with pytest.raises(DamagedError, match=f"{name}' is no file but a pipe"):
        read(tmp_path)
