"""What `benchmarks.curriculum` computes from its runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.curriculum import SETTINGS, summarize_setting, table, write_rows
from textenv.datasets import load_dataset
from textenv.tasks.keywords import KeywordsTask

LEVELS = SETTINGS["levels"].levels


def write_run(out: Path, way: str, seed: int, rewards: dict[str, Any]) -> None:
    run = {
        "seed": seed, "tokens": 100, "episodes": 5, "train_s": 1.0,
        "rewards": {id: np.asarray(found).tolist() for id, found in rewards.items()},
    }  # fmt: skip
    (out / f"levels-{way}-{seed}.json").write_text(json.dumps(run), encoding="utf-8")


def test_differences_are_paired_by_seed_and_example(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for seed in range(3):
        scores = {id: rng.random(50) for id in LEVELS}
        write_run(tmp_path, "shuffled", seed, scores)
        better = {id: found + 0.1 * place for place, (id, found) in enumerate(scores.items())}
        write_run(tmp_path, "curriculum", seed, better)
    write_run(tmp_path, "shuffled", 3, {id: np.zeros(50) for id in LEVELS})  # not finished
    summary = summarize_setting(tmp_path, "levels")
    assert summary is not None
    assert summary["seeds"] == [0, 1, 2]
    for row, gain in zip(summary["measured"], (0.0, 0.1, 0.2, 0.1), strict=True):
        assert row["differences"] == pytest.approx([gain] * 3)
        # Scores differ much between seeds and examples, and their differences do not.
        low, high = row["difference"]["ci95"]
        assert high - low < 1e-6
        assert low <= gain + 1e-9
        assert gain - 1e-9 <= high
    assert "| levels | mean of the levels |" in table([summary])
    assert summarize_setting(tmp_path, "prompts") is None


def test_rows_of_an_environment_are_a_data_set_of_its_task(tmp_path: Path) -> None:
    path = write_rows("TextKeywords-v0", 40, tmp_path)
    train = load_dataset(str(path), KeywordsTask(), "train")
    assert 25 <= len(train) < 40
    assert len({train[i].prompt for i in range(len(train))}) == len(train)


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    import typer

    from benchmarks.curriculum import main
    from textenv.errors import ConfigError

    app = typer.Typer()
    app.command()(main)
    found = CliRunner().invoke(app, ["--out", str(tmp_path), "--summarize"])
    assert isinstance(found.exception, ConfigError)
