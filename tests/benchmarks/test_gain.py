"""The pure parts of `benchmarks.gain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.gain import TimedDecay, make_config, summarize
from benchmarks.gain_curves import draw_curves
from benchmarks.gain_data import TASKS, speak_contribution, write_splits
from textenv.datasets import load_dataset
from textenv.errors import ConfigError, DatasetError
from textenv.examples import Example
from textenv.tasks.qa import QATask


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [
        {"id": str(i), "article": i // 10, "context": f"c {i}", "question": "q", "answers": ["a"]}
        for i in range(480)
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    (tmp_path / "qa_xquad_en.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def test_no_article_is_on_both_sides(data: Path, tmp_path: Path) -> None:
    write_splits(TASKS["qa"], data, tmp_path / "out")
    train, test = (
        load_dataset(str(tmp_path / "out"), QATask(), split) for split in ("train", "test")
    )
    articles = [
        {int(dataset[i].id) // 10 for i in range(len(dataset))} for dataset in (train, test)
    ]
    assert articles == [set(range(36)), set(range(36, 48))]
    assert (len(train), len(test)) == (360, 120), "training keeps all of its rows"
    first = {int(test[i].id) // 10 for i in range(60)}
    assert len(first) == 12, "the first held-out rows come from all of its articles"


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="summ_scitldr_train"):
        write_splits(TASKS["summary"], tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("Nets are big. In this work, we propose X. We show Y.", "In this work, we propose X."),
        ("Nets are big. This paper introduces X.", "This paper introduces X."),
        ("Nets are big. They work.", "Nets are big."),
    ],
)
def test_the_heuristic_says_what_the_authors_did(document: str, said: str) -> None:
    assert speak_contribution(Example("0", document, ("r",)), ()) == said


def test_the_rate_ends_at_a_tenth_by_whichever_ends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.perf_counter", lambda: now)
    rate = TimedDecay(deadline=200.0)
    assert rate(1.0) == pytest.approx(3e-5)
    assert rate(0.5) == pytest.approx(3e-5 * 0.55)
    now = 150.0
    assert rate(1.0) == pytest.approx(3e-5 * 0.55)
    now = 300.0
    assert rate(1.0) == pytest.approx(3e-6)


def _result(seed: int, gains: list[float]) -> dict[str, Any]:
    return {
        "task": "qa",
        "metric": "token F1",
        "seed": seed,
        "examples": len(gains),
        "gains": gains,
        "gain": {},
        "baselines": {},
        "best_of": {"n": 16, "mean": 0.4},
        "after": {"reward": {"mean": 0.5}},
        "kl_ref": 9.0,
        "episodes_per_s": 160.0,
        "wall_s": 400.0,
        "device": "cpu",
    }


def test_seeds_are_put_together_task_by_task(tmp_path: Path) -> None:
    folders = []
    for seed, gain in enumerate((0.2, 0.3, 0.4)):
        folders.append(tmp_path / str(seed))
        folders[-1].mkdir()
        text = json.dumps(_result(seed, [gain - 0.1, gain + 0.1] * 20))
        (folders[-1] / "result.json").write_text(text, encoding="utf-8")
    (summary,) = summarize(folders)
    assert summary["seeds"] == [0, 1, 2]
    assert summary["gain"]["mean"] == pytest.approx(0.3)
    low, high = summary["gain"]["ci95"]
    # Three seeds with a standard deviation of 0.1: Student's interval is +-0.25 by itself.
    assert 0.0 < low < 0.2
    assert 0.4 < high < 0.6


def test_runs_on_other_examples_are_not_put_together(tmp_path: Path) -> None:
    for seed, gains in enumerate(([0.1, 0.2], [0.1])):
        (tmp_path / str(seed)).mkdir()
        text = json.dumps(_result(seed, gains))
        (tmp_path / str(seed) / "result.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="different examples"):
        summarize([tmp_path / "0", tmp_path / "1"])
    with pytest.raises(ConfigError, match=r"no result\.json"):
        summarize([tmp_path])


def test_a_run_is_one_that_train_takes(tmp_path: Path) -> None:
    config = make_config(TASKS["summary"], tmp_path, tmp_path, 3, "cpu", 120, 256)
    assert config.total_episodes == 30_720
    assert (config.batch_size, config.seed, config.id) == (64, 3, "TextSummarize-v0")


@pytest.mark.parametrize("n", [1, 2, 120])
def test_curves_are_drawn_for_any_number_of_iterations(n: int, tmp_path: Path) -> None:
    draw_curves(
        tmp_path / "c.png", [0.1 + i / 200 for i in range(n)], [0.1 * i for i in range(n)], "t"
    )
    with Image.open(tmp_path / "c.png") as image:
        assert image.size == (900, 360)
        assert len(image.getcolors(100_000)) > 10
