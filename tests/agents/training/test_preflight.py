"""What a user is told before a training spends its budget."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agents.training.config import load_config
from agents.training.evaluation import Evaluation
from agents.training.preflight import find_before_loading, find_in_answers, find_in_budget
from textenv.examples import Episode, Example, Turn
from textenv.vector import make_core


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
    assert find_in_answers(answers(["a", "b"], [0.0, 0.5], [1, 1]), core, "TextQA-v0") == []


def test_equal_rewards_are_told_with_an_example_and_other_rewards(core) -> None:
    start = answers(["you", "they"], [0.0, 0.0], [1, 1])
    (finding,) = find_in_answers(start, core, "TextQA-v0")
    assert finding.startswith("All 2 answers earn 0.")
    assert "'q0' got 'you', where 'me' is ideal" in finding
    # The environment's reward is token_f1 already.
    assert "such as rougeL or chrf" in finding


def test_answers_that_nobody_ends_are_told_with_the_budget(core) -> None:
    start = answers(["so I", "well, the"], [0.0, 0.5], [0, 0])
    (finding,) = find_in_answers(start, core, "TextQA-v0")
    assert finding.startswith("None of 2 answers end by themselves")
    assert "max_new_tokens=8" in finding
    assert "env.max_new_tokens=32" in finding


def test_empty_answers_are_told_as_such(core) -> None:
    (finding,) = find_in_answers(answers(["", " "], [0.0, 0.0], [1, 1]), core, "TextQA-v0")
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
