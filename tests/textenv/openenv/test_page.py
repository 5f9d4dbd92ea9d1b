"""The Python of docs/openenv.md runs, in its order."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "openenv.md"
URL = "http://127.0.0.1:8000"
SMALLER = {"num_envs=64": "num_envs=8", "n_episodes=64": "n_episodes=8", "=1280": "=8"}

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of uvicorn and FastAPI
    pytest.mark.usefixtures("openenv"),
]


@pytest.mark.slow
def test_the_code_of_the_page_runs(run_server, tmp_path, monkeypatch):
    from textenv.openenv import graders
    from textenv.openenv.package import write_package

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(graders, "_N_EXAMPLES", 16)
    write_package(Path("dialogue"), "TextDialogue-v0")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 4
    said = io.StringIO()
    with (
        run_server("TextDialogue-v0", with_references=True) as url,
        contextlib.redirect_stdout(said),
    ):
        for block in blocks:
            for large, small in {**SMALLER, URL: url, "n_examples=50": "n_examples=4"}.items():
                block = block.replace(large, small)
            exec(compile(block, str(PAGE), "exec"), {})
    assert "semantic.oracle_max pass" in said.getvalue()
    assert "A human reference scores 1.00, nothing at all 0.00." in said.getvalue()
