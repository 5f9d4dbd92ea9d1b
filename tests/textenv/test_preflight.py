"""Before an environment is played, its texts are measured, and its reward is tried."""

from __future__ import annotations

import json
import re

import pytest

import textenv
from textenv.errors import RewardError
from textenv.preflight import find_few, find_misfits, try_rewards
from textenv.vector import make_core

IDS = textenv.registered_ids()


@pytest.fixture
def rows(tmp_path):
    """Writes rows of questions as a file, and makes the environment that reads it."""

    def make(questions, id="TextQA-v0", **arguments):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in questions), encoding="utf-8")
        return make_core(id, 1, {"dataset": str(path), **arguments})

    return make


def question(number: int, context: str = "", answer: str = "yes") -> dict[str, str]:
    context = {"context": context} if context else {}
    return {"question": f"Is it {number}?", "answers": answer, **context}


@pytest.mark.parametrize("id", IDS)
def test_what_ships_fits(id: str) -> None:
    assert find_misfits(make_core(id), ["train", "test"], 60) == []


def test_prompts_that_are_cut_are_counted_and_the_advice_cures_them(rows) -> None:
    questions = [question(i, "word " * (300 if i % 4 == 0 else 3)) for i in range(40)]
    core = rows(questions)
    n = len(core.dataset("train"))
    cut = sum(len(core.dataset("train")[i].metadata["context"]) > 100 for i in range(n))
    (finding,) = find_misfits(core, ["train"])
    assert finding.startswith(f"{cut} of {n} prompts do not fit max_prompt_tokens=128")
    found = re.search(r"env\.max_prompt_tokens=(\d+) fits all\.", finding)
    assert found is not None
    enough = int(found[1])
    assert find_misfits(rows(questions, max_prompt_tokens=enough), ["train"]) == []
    assert find_misfits(rows(questions, max_prompt_tokens=enough - 1), ["train"]) != []


def test_prompts_that_may_not_be_cut_are_told_apart(rows) -> None:
    questions = [question(i) | {"question": f"{'very ' * 200}long {i}?"} for i in range(20)]
    (finding,) = find_misfits(rows(questions), ["train"])
    assert "may not be cut: an episode that draws one is an error" in finding


def test_ideal_answers_that_do_not_fit_a_turn_are_counted(rows) -> None:
    questions = [question(i, answer="one two three four five six seven eight") for i in range(20)]
    core = rows(questions)
    n = len(core.dataset("train"))
    (finding,) = find_misfits(core, ["train"])
    assert finding.startswith(f"{n} of {n} ideal answers do not fit max_new_tokens=8")
    enough = int(re.search(r"env\.max_new_tokens=(\d+) fits all", finding)[1])
    assert find_misfits(rows(questions, max_new_tokens=enough), ["train"]) == []
    assert find_misfits(rows(questions, max_new_tokens=enough - 1), ["train"]) != []


def test_one_long_text_does_not_set_the_advice_alone(rows) -> None:
    questions = [question(i, "word " * (2000 if i == 0 else 200)) for i in range(60)]
    core = rows(questions)
    contexts = [core.dataset("train")[i].metadata["context"] for i in range(len(core.dataset()))]
    if max(map(len, contexts)) < 2000:
        pytest.skip("the long text is held out")
    (finding,) = find_misfits(core, ["train"])
    assert re.search(r"max_prompt_tokens=\d+ fits all; \d+ fits 95 %", finding)


def test_ideal_turns_of_a_conversation_count_each() -> None:
    core = make_core("TextDialogue-v0", 1, {"max_new_tokens": 4})
    findings = find_misfits(core, ["train"], 20)
    assert any("20 of 20 ideal answers do not fit max_new_tokens=4" in text for text in findings)


@pytest.mark.parametrize(("n", "found"), [(20, True), (1000, False)])
def test_few_held_out_examples_are_told(rows, n: int, found: bool) -> None:
    core = rows([question(i) for i in range(n)])
    assert bool(find_few(core, "test")) is found


def test_a_reward_is_tried_on_an_ideal_and_an_empty_answer(rows) -> None:
    core = rows([question(i) for i in range(20)])
    seen = []

    def average_length(episodes):
        seen.extend(episode.response for episode in episodes)
        return [len(e.response) / len(e.response.split()) for e in episodes]

    with pytest.raises(RewardError, match=r"ZeroDivisionError.*test_preflight\.py, line \d+"):
        try_rewards({"average_length": average_length}, core, "train")
    assert seen[:2] == ["yes", ""]
