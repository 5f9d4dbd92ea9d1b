"""What rules without understanding pick among options."""

from __future__ import annotations

import pytest

from textenv.benchmark.adversary.options import choose_options

TEXT = "Anna lives in Oslo, works in Rome and was born in Lima. Ben works in Oslo."
PROMPT = f"{TEXT}\n\nQuestion: Where does Anna work?"
OPTIONS = ("Rome", "Oslo", "Lima")
PICKED = choose_options(OPTIONS, PROMPT, TEXT, TEXT)


@pytest.mark.parametrize(
    ("rule", "option"),
    [
        ("last option", "Lima"),
        ("option seen first", "Oslo"),
        ("option seen last", "Lima"),
        ("option most frequent", "Oslo"),
        ("option least frequent", "Rome"),
        ("option after the question's name", "Oslo"),
        ("second option after the question's name", "Rome"),
        ("third option after the question's name", "Lima"),
        ("option nearest to the question's name", "Oslo"),
        ("option after the question's last word", "Rome"),
        ("option before the question's last word", "Oslo"),
    ],
)
def test_options_are_picked_by_place_and_number(rule, option):
    assert PICKED[rule] == option


def test_options_are_picked_by_the_words_that_they_share():
    options = ("a taxi at 10 am", "a train at noon", "a train at 10 am")
    picked = choose_options(options, "A taxi, please.", "A taxi, please.", "At 10 am. A taxi.")
    assert picked["option most like the text"] == "a taxi at 10 am"
    assert picked["option least like the text"] == "a train at 10 am"
    assert picked["option most like the talk"] == "a taxi at 10 am"
    assert picked["option most like the others"] == "a train at 10 am"
    assert picked["option least like the others"] == "a train at noon"


def test_a_single_option_is_no_choice():
    assert choose_options(["Rome"], PROMPT, TEXT, TEXT) == {}
