"""What a user is told before a training spends its budget."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

from agents.training.config import load_config
from agents.training.evaluation import Evaluation
from agents.training.preflight import (
    find_before_loading,
    find_in_answers,
    find_in_budget,
    warm_start_command,
)
from textenv.cli.console import parse_spec
from textenv.examples import Episode, Example, Turn
from textenv.preflight import RewardScale, measure_scale
from textenv.vector import make_core

SCALE = RewardScale(ideal=1.0, empty=0.0)
SFT = "`textenv sft TextQA-v0 --out runs/start`"


def answers(texts, rewards, ended) -> Evaluation:
    episodes = tuple(
        Episode(Example(f"q{i}", "Who?", ("me",)), (Turn("user", "Who?"), Turn("assistant", text)))
        for i, text in enumerate(texts)
    )
    return Evaluation(episodes, np.array(rewards), {"ended_by_agent": np.array(ended, float)})


@pytest.fixture(scope="module")
def core():
    return make_core("TextQA-v0")


def test_a_start_that_differs_and_ends_needs_no_word(core) -> None:
    assert find_in_answers(answers(["a", "b"], [0.0, 0.5], [1, 1]), core, SCALE, SFT) == []


def test_equal_rewards_are_told_with_an_example_and_a_finer_reward_if_there_is_one(core) -> None:
    start = answers(["you", "they"], [0.0, 0.0], [1, 1])
    (finding,) = find_in_answers(start, core, SCALE, SFT)
    assert finding.startswith("All 2 answers earn 0.")
    assert "'q0' got 'you', where 'me' is ideal" in finding
    # The environment's reward is token_f1: another count of common words would find none, either.
    assert "such as" not in finding
    assert f"Teach the form first with {SFT}." in finding
    strict = make_core("TextQA-v0", arguments={"reward": "exact_match"})
    (finding,) = find_in_answers(start, strict, SCALE, SFT)
    assert f"(such as token_f1 or chrf), or teach the form first with {SFT}." in finding


def test_answers_as_good_as_ideal_ones_are_told_that_nothing_is_left_to_learn(core) -> None:
    ideal = answers(["me", "me"], [1.0, 1.0], [1, 1])
    (finding,) = find_in_answers(ideal, core, SCALE, SFT)
    assert finding.startswith("All 2 answers earn 1, as much as the ideal answer does")
    assert "Take harder data" in finding
    assert "steps in between" not in finding
    # Where everything earns 1, the reward is at fault.
    (finding,) = find_in_answers(ideal, core, RewardScale(1.0, 1.0), SFT)
    assert "PPO learns from differences alone" in finding


def test_the_scale_of_a_reward_is_what_ideal_and_empty_answers_earn(core) -> None:
    scale = measure_scale(core, [core.dataset("test")[i] for i in range(3)])
    assert scale == SCALE
    assert [scale.is_ideal(x) for x in (0.9, 1.0, 1.2)] == [False, True, True]
    assert [scale.is_near_nothing(x) for x in (0.0, 0.09, 0.11)] == [True, True, False]
    upside_down = RewardScale(ideal=0.2, empty=1.0)  # such as a reward of brevity
    assert not upside_down.is_ideal(0.2)
    assert not upside_down.is_near_nothing(1.0)


def test_the_command_of_a_warm_start_teaches_the_runs_own_model_its_own_rows(core) -> None:
    rows = {"path": "my recipes.csv", "columns": {"document": "recipe"}}
    command = warm_start_command("TextQA-v0", "some/model", rows, {"max_new_tokens": 9})
    words = shlex.split(command.strip("`"))
    assert words[:5] == ["textenv", "sft", "TextQA-v0", "--model", "some/model"]
    assert parse_spec(words[6]) == rows
    assert words[7:] == ["--out", "runs/start", "env.max_new_tokens=9"]
    assert warm_start_command("TextQA-v0", "embedded") == SFT
    (finding,) = find_in_answers(answers(["", ""], [0.0, 0.0], [1, 1]), core, SCALE, command)
    assert command in finding


def test_answers_that_nobody_ends_are_told_with_the_budget(core) -> None:
    start = answers(["so I", "well, the"], [0.0, 0.5], [0, 0])
    (finding,) = find_in_answers(start, core, SCALE, SFT)
    assert finding.startswith("None of 2 answers end by themselves")
    assert "max_new_tokens=8" in finding
    assert "env.max_new_tokens=32" in finding


def test_empty_answers_are_told_as_such(core) -> None:
    (finding,) = find_in_answers(answers(["", " "], [0.0, 0.0], [1, 1]), core, SCALE, SFT)
    assert finding.startswith("Every answer is empty.")


def test_the_embedded_model_is_not_for_other_text(tmp_path, core) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"question": f"Is it {i}?", "answers": "yes"} for i in range(1000)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    own = make_core("TextQA-v0", 1, {"dataset": str(path)})
    (finding,) = find_before_loading(own, "embedded", ["train", "test"])
    assert "knows the generated data sets alone" in finding
    assert find_before_loading(own, "another", ["train", "test"]) == []
    assert find_before_loading(core, "embedded", ["train", "test"]) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["total_episodes=10000"], []),
        (["total_episodes=512", "n_episodes=128"], ["buys 4 iterations", "expect little"]),
        (
            ["total_episodes=5120", "n_episodes=128", "critic_warmup=30"],
            ["critic_warmup=30 is cut to 10", "total_episodes=15360"],
        ),
        (
            [
                "total_episodes=5120",
                "n_episodes=128",
                "critic_warmup=30",
                "advantage=rloo",
                "group_size=2",
            ],
            [],
        ),
    ],
)
def test_a_budget_that_warm_up_eats_is_told(words, told) -> None:
    findings = find_in_budget(load_config(None, words, id="TextQA-v0"))
    assert len(findings) == bool(told)
    assert all(text in " ".join(findings) for text in told)
