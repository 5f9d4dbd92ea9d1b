"""What a user is told when training has spoilt the texts."""

from __future__ import annotations

import numpy as np
import pytest

from agents.training.degeneration import find_spoilt
from agents.training.evaluation import Evaluation
from textenv.examples import Episode, Example, Turn

GOOD = [f"The number {word} is a fine one to begin with." for word in "abcdefghij"]
LOOP = "it is a dark and ominous tale, is a dark and ominous tale of old."


def answers(texts, ended=1.0, tokens=10.0, references=GOOD) -> Evaluation:
    n = len(texts)
    stops = ["end_of_turn" if i < ended * n else "max_new_tokens" for i in range(n)]
    episodes = tuple(
        Episode(Example(f"q{i}", "Say it.", (references[i],)), (Turn("assistant", text),), stop)
        for i, (text, stop) in enumerate(zip(texts, stops, strict=True))
    )
    metrics = {
        "ended_by_agent": np.array([stop == "end_of_turn" for stop in stops], float),
        "response_tokens": np.full(n, tokens),
    }
    return Evaluation(episodes, np.zeros(n), metrics)


@pytest.mark.parametrize(
    "after",
    [
        answers(GOOD),
        answers(GOOD, ended=0.6),
        answers(GOOD, tokens=17.0),
        answers([*GOOD[:9], LOOP]),
        answers([GOOD[0]] * 2 + GOOD[2:]),
        # Names are alike by right.
        answers(["Anna"] * 10, references=["Anna"] * 9 + ["Bert"]),
    ],
)
def test_what_is_as_good_as_before_needs_no_word(after) -> None:
    assert find_spoilt(answers(GOOD), after) == []


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (answers(GOOD, ended=0.1), "stopped ending: 10% end by themselves, and 100% did before"),
        (answers([LOOP] * 3 + GOOD[3:]), "repeat themselves: 30% say the same words again, and 0%"),
        (answers([GOOD[0]] * 4 + GOOD[4:]), "One text answers 40% of the examples, and the most"),
        (answers(["Bread"] * 10, references=list("abcdefghij")), "One text answers 100%"),
        (answers(GOOD, tokens=20.0), "grown from 10 to 20 tokens"),
    ],
)
def test_what_is_spoilt_is_told_with_an_example_and_a_cure(after, words) -> None:
    (finding,) = find_spoilt(answers(GOOD), after)
    assert words in finding
    assert any(text in finding for text in (*GOOD, LOOP, "Bread"))
    assert "kl_coef" in finding


def test_a_start_that_was_no_better_is_no_loss() -> None:
    bad = answers([LOOP] * 10, ended=0.1, tokens=30.0)
    assert find_spoilt(bad, bad) == []
