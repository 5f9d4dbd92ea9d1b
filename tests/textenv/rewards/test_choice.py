"""When a text names the right option, and no other."""

from __future__ import annotations

import pytest

from textenv import score
from textenv.errors import RewardError

CHOICES = ["doctor", "baker", "an old ship captain", "captain", "vitamin C"]


def scored(text, correct=1, choices=CHOICES):
    metadata = [{"choices": choices, "correct": correct}]
    result = score("choice", [text], ["x"], metadata=metadata)
    return result.total[0], result.components["answered"][0]


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "b.",
        "(B)",
        "B) baker",
        "Option B",
        "baker",
        "The baker!",
        "A baker.",
        "I think it is a baker",
        "The answer is B.",
        "Anna is a doctor, so not A. Answer: **B) baker**",
        "B) baker, because Anna sells bread.",
    ],
)
def test_the_right_option_may_be_named_by_letter_or_in_words(text):
    assert scored(text) == (1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "A and B",
        "a or b",
        "A, B",
        "A B C D",
        "B/C",
        "A) baker",
        "B) doctor",
        "doctor or baker",
        "A) doctor\nB) baker\nC) an old ship captain\nD) captain\nE) vitamin C",
        "The answer is A or B.",
    ],
)
def test_several_options_at_once_score_0(text):
    assert scored(text) == (0, 0)


@pytest.mark.parametrize("text", ["", "bakery", "F", "Bob's", "I don't know", "the other one"])
def test_what_names_no_option_is_no_answer(text):
    assert scored(text) == (0, 0)


def test_another_option_is_an_answer_but_a_wrong_one():
    assert scored("A) doctor") == (0, 1)


def test_of_overlapping_options_the_longest_is_meant():
    assert scored("the old ship captain", correct=2) == (1, 1)
    assert scored("captain", correct=3) == (1, 1)
    assert scored("ship captain", correct=2) == (0, 1)


def test_letters_within_the_words_of_an_option_name_nothing():
    assert scored("E) vitamin C", correct=4) == (1, 1)
    assert scored("vitamin C", correct=2) == (0, 1)


def test_words_that_two_options_share_need_the_letter():
    choices = ["yes", "no", "Yes"]
    assert scored("yes", 0, choices) == (0, 0)
    assert scored("C) Yes", 2, choices) == (1, 1)


def test_an_option_of_no_words_is_named_by_its_letter():
    for choices in (["A", "B"], ["the", "B"], ["", ""]):
        assert scored("A", 0, choices) == (1, 1)
        assert scored("A and B", 0, choices)[0] == 0


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"choices": CHOICES},
        {"choices": [], "correct": 0},
        {"choices": "ABC", "correct": 0},
        {"choices": ["a", 1], "correct": 0},
    ],
)
def test_an_example_without_choices_is_an_error_not_a_0(metadata):
    with pytest.raises(RewardError, match=r"'choices' \(a list of texts\) and 'correct'"):
        score("choice", ["B"], ["x"], metadata=[metadata])
