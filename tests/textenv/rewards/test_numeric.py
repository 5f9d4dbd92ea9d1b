"""The number that a text gives as its answer, and when it is right."""

from __future__ import annotations

from fractions import Fraction

import pytest

from textenv import score
from textenv.errors import RewardError
from textenv.rewards.verifiable.numeric import equal_numbers, final_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("18", 18),
        ("She sells 9 * 2 = 18", 18),
        ("9 + 9 = 18\n#### 18", 18),
        ("#### $1,234.50", Fraction("1234.5")),
        ("#### 9 * 2 = 18", 18),
        ("#### 18\nThat took 20 minutes.", 18),
        ("It was 20 at first. The answer is 18 dollars. Check: 9 * 2.", 18),
        ("**Answer:** 18", 18),
        ("Answer:\n18", 18),
        ("The answer is −5", -5),
        ("-$5", -5),
        ("$-5", -5),
        ("20 - 25 = -5", -5),
        (r"So it is \boxed{\frac{3}{4}}.", Fraction(3, 4)),
        (r"\boxed{1{,}000}", 1000),
        ("3/4 of it", Fraction(3, 4)),
        ("1 1/2 cups", Fraction(3, 2)),
        (".5", Fraction(1, 2)),
        ("25%", 25),
        ("On the 2nd day: 18 m2", 18),
        ("答案是18。", 18),
        ("34 - 16 = 18\n18", 18),
    ],
)
def test_the_final_number_is_read_as_it_is_usually_written(text, number):
    assert final_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "eighteen",
        "18 or 20",
        "18 apples or maybe 20 apples",
        "17, 18",
        "17\n18\n19\n20",
        "12 - 4",
        "#### 18 or 20",
        "#### 18 20",
        "The answer is 17, 18 or 19.",
        r"\boxed{17} or \boxed{18, 19}",
        "She had 18. The answer is not known.",
        "1/0",
        "the 22nd",
        "9" * 5000,
    ],
)
def test_no_number_and_several_at_once_are_no_answer(text):
    assert final_number(text) is None


def test_only_the_last_of_several_answers_counts():
    assert final_number("#### 18\n#### 20") == 20
    assert final_number(r"\boxed{18}, so the answer is 20.") == 20


def test_whole_numbers_must_be_equal_and_others_nearly_so():
    assert equal_numbers(Fraction(10**9), Fraction(10**9))
    assert not equal_numbers(Fraction(10**9 + 1), Fraction(10**9))
    assert equal_numbers(Fraction("0.333333"), Fraction(1, 3))
    assert not equal_numbers(Fraction("0.3333"), Fraction(1, 3))


def test_a_right_number_scores_1_and_any_other_text_0():
    result = score("numeric", ["x = 18", "18.0", "19", "", "18 or 19"], ["9 * 2 = 18\n#### 18"] * 5)
    assert result.total.tolist() == [1, 1, 0, 0, 0]
    assert result.components["answered"].tolist() == [1, 1, 1, 0, 0]
    assert score("numeric", ["18"], [["17", "18"]]).total.tolist() == [1]


def test_a_reference_without_one_number_is_an_error_not_a_0():
    with pytest.raises(RewardError, match="does not give one"):
        score("numeric", ["18"], ["eighteen"])
