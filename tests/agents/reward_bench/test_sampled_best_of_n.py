"""Pools of samples are drawn evenly, scored once, and shown as curves."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from agents.reward_bench.best_of_n import pay_nothing, sample_pool, score_pool, write_picks
from agents.training.held_out import load_policy, play_policy_on_split
from textenv.benchmark.results import BestOfN, load_record
from textenv.cli import console, main
from textenv.examples import Episode
from textenv.rewards import RewardResult

ROOT = Path(__file__).resolve().parents[3]
SPLIT = "train"


class CountsWords:
    """Pays for length, and remembers how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        self.asked.append(len(episodes))
        return RewardResult(np.array([len(e.response.split()) for e in episodes], np.float64))


@pytest.fixture
def sample(make_env, save_model):
    """Samples a pool from a tiny model in 5 slots."""

    def run(n_prompts=3, size=4, seed=0, **arguments):
        core = make_env(5, reward=pay_nothing).core
        policy = load_policy(save_model(), core, **arguments)
        torch.manual_seed(seed)
        return core, sample_pool(policy, core, SPLIT, n_prompts, size)

    return run


def test_every_prompt_is_sampled_as_often_in_order(sample):
    core, episodes = sample(n_prompts=3, size=7)
    dataset = core.dataset(SPLIT)
    expected = [dataset[i].id for i in range(3) for _ in range(7)]
    assert [episode.example.id for episode in episodes] == expected


def test_a_pool_is_as_large_as_the_split_has_prompts(sample):
    core, episodes = sample(n_prompts=10_000, size=2)
    assert len(episodes) == 2 * len(core.dataset(SPLIT))


def test_samples_of_a_prompt_differ_and_the_seed_repeats_them(sample):
    first, again, other = (
        [e.input_ids.tolist() for e in sample(size=8, seed=seed)[1]] for seed in (1, 1, 2)
    )
    assert first == again != other
    assert len({tuple(ids) for ids in first[:8]}) > 1


def test_one_sample_a_prompt_is_how_a_split_is_played_otherwise(make_env, save_model):
    core = make_env(5).core
    policy = load_policy(save_model(), core)
    texts = [
        [e.response for e in play_policy_on_split(policy, core, SPLIT, 6, **arguments)]
        for arguments in ({}, {"n_samples": 1}, {"n_samples": 3})
    ]
    assert texts[0] == texts[1]
    assert texts[2] == [text for text in texts[0] for _ in range(3)]


def test_each_reward_is_asked_once_and_the_environments_is_not(sample):
    _, episodes = sample(n_prompts=3, size=4)
    words, red = CountsWords(), CountsWords()
    pool = score_pool("words", {"words": words, "red": red}, episodes, 4)
    assert words.asked == red.asked == [12]
    lengths = [len(e.response.split()) for e in episodes]
    assert pool.scores["words"].tolist() == np.reshape(lengths, (3, 4)).tolist()


def test_the_pick_is_the_first_of_the_best(sample, tmp_path):
    core, episodes = sample(n_prompts=3, size=6)
    pool = score_pool("words", {"words": CountsWords()}, episodes, 6)
    picks = pool.picks()
    assert [first for first, _ in picks] == [0, 6, 12]
    for row, (_, best) in enumerate(picks):
        scores = pool.scores["words"][row]
        assert pool.scores_of(best) == {"words": scores.max()}
        assert (scores[: best - 6 * row] < scores.max()).all()
    write_picks(pool, core, tmp_path / "picks.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "picks.jsonl").read_text().splitlines()]
    assert [row["best"]["response"] for row in rows] == [episodes[b].response for _, b in picks]
    assert [row["id"] for row in rows] == [episodes[first].example.id for first, _ in picks]
    assert set(rows[0]) == {"id", "prompt", "references", "first", "best"}


def test_a_policy_that_always_says_the_same_gains_nothing(sample):
    _, episodes = sample(n_prompts=4, size=4, temperature=1e-6)
    pool = score_pool("words", {"words": CountsWords()}, episodes, 4)
    assert len({e.mean for e in pool.curves().curves["words"]}) == 1
    assert pool.gains()["words"].mean == 0


def test_the_gain_is_the_end_of_the_curve_less_its_start(sample):
    _, episodes = sample(n_prompts=4, size=8)
    pool = score_pool("words", {"words": CountsWords()}, episodes, 8)
    curve = pool.curves().curves["words"]
    assert pool.gains()["words"].mean == pytest.approx(curve[-1].mean - curve[0].mean)
    assert curve[-1].mean > curve[0].mean


# The command


@pytest.fixture
def run(monkeypatch, save_model):
    """Runs `textenv rewards best-of-n TextQA-v0` with a tiny model on few prompts."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    points = points["project"]["entry-points"][console.COMMANDS_GROUP]
    entries = [EntryPoint(n, value, console.COMMANDS_GROUP) for n, value in points.items()]
    for module in (main, console):
        monkeypatch.setattr(module, "entry_points", lambda group: entries)
    monkeypatch.setenv("COLUMNS", "120")
    model = save_model(tokenizer="embedded")
    few = ("--model", model, "--prompts", "3", "--pool", "4", "--device", "cpu")

    def invoke(*words):
        arguments = ["rewards", "best-of-n", "TextQA-v0", *few, *map(str, words)]
        return CliRunner().invoke(main.make_app(), arguments)

    return invoke


def test_it_prints_curves_gains_and_picks(run):
    done = run("--reward", "token_f1", "--gold", "rougeL,chrf")
    assert done.exit_code == 0, done.output
    for text in (
        "The best of n by token_f1",
        "4 of each of 3 prompts",
        "KL at most",
        "chrf [95 %]",
        "The best of 4 against a single sample",
        "Sample facts/test/0/1",
        "picked",
    ):
        assert text in done.stdout
    assert "Sampling" in done.stderr
    assert "12/12" in done.stderr


def test_json_repeats_itself_with_the_same_seed_only(run):
    words = ("--reward", "chrf", "--gold", "rouge1", "--json", "--temperature", "2")
    shown = [json.loads(run(*words, "--seed", seed).stdout) for seed in (1, 1, 2)]
    for one in shown:
        assert one.pop("sampling_s") > 0
        one.pop("scoring_s")
    assert shown[0] == shown[1]
    assert shown[0]["curves"] != shown[2]["curves"]
    assert (shown[0]["n"], shown[0]["temperature"]) == ([1, 2, 4], 2.0)
    assert list(shown[0]["curves"]) == list(shown[0]["gains"]) == ["chrf", "rouge1"]


def test_a_folder_gets_the_record_the_report_and_the_picks(run, tmp_path):
    out = tmp_path / "new"
    done = run("--reward", "{chrf: 1, rouge1: 0.5}", "--gold", "bleu", "--out", out)
    assert done.exit_code == 0, done.output
    record = load_record(BestOfN, out / "best_of_n.json")
    assert record.proxy == "1 chrf + 0.5 rouge1"
    assert (out / "report.html").is_file()
    assert len((out / "picks.jsonl").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reward", "chrf", "--gold", "chrff"], "Did you mean 'chrf'?"),
        (["--reward", "chrf", "--gold", "chrf"], "Name a --gold metric"),
        (["--reward", "chrf", "--gold", "bleu", "--split", "tset"], "There is no split 'tset'"),
        (["--reward", "chrf", "--gold", "turn_f1"], "is not a recorded dialogue"),
        (["--reward", "chrf", "--gold", "bleu", "pool=3"], "not of the form env.KEY=VALUE"),
        (["--reward", "chrf", "--gold", "bleu", "--out", "."], "not empty"),
        (
            ["--reward", "chrf", "--gold", "bleu", "--temperature", "0"],
            "temperature=0.0 is not valid",
        ),
    ],
)
def test_a_wrong_word_is_told_before_anything_is_sampled(run, words, message):
    done = run(*words)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert "Sampling" not in done.stderr
