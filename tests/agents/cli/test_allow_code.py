"""A run's folder that came from elsewhere loads no code unless the user allows it."""

from __future__ import annotations

import pytest

REWARD = """
from pathlib import Path

Path("LOADED").touch()

def score(episodes):
    return [float(len(e.response)) for e in episodes]
"""


@pytest.mark.slow
def test_own_runs_load_their_code_and_those_of_others_when_it_is_allowed(
    run, smoke, model, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "mine"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pay.py").write_text(REWARD)
    words = ("TextQA-v0", "--model", model, "--reward", "pay.py:score", *smoke)
    done = run("train", *words, "--out", "run")
    assert done.exit_code == 0, done.output
    resume = ("train", "--resume", "run", "total_episodes=8")
    evaluate = ("evaluate", "--model", "run", "--agent", "gold", "--examples", "2")
    assert run(*evaluate).exit_code == 0

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "of another"))
    monkeypatch.setattr("sys.modules", {k: v for k, v in __import__("sys").modules.items()
                                        if not k.startswith("textenv_task_pay")})  # fmt: skip
    (tmp_path / "LOADED").unlink()
    for command in (resume, evaluate):
        refused = run(*command)
        assert refused.exit_code == 2
        assert "'pay.py:score'" in " ".join(refused.output.split())
        assert "--allow-code" in refused.output
    for command in (("report", "run"), ("compare", "run", "run")):
        run(*command)
    assert not (tmp_path / "LOADED").exists()

    assert run(*evaluate, "--allow-code").exit_code == 0
    assert run(*evaluate).exit_code == 2  # it was allowed once
    done = run(*resume, "--allow-code")
    assert done.exit_code == 0, done.output
    assert run(*evaluate).exit_code == 0  # the resumed run is this user's


def test_the_word_is_refused_where_it_means_nothing(run):
    done = run("train", "TextQA-v0", "--allow-code")
    assert done.exit_code == 2
    assert "--resume" in done.output
