"""Whether values stand among words that suit them, by scores worked by hand."""

from __future__ import annotations

import pytest

from textenv.rewards.tasks.value_contexts import suited

REFERENCE = "golden fox serves thai food and has low prices"
PHRASES = (("golden", "fox"), ("thai",), ("low",))


def rate(text, *references, phrases=PHRASES):
    return suited(text.split(), [one.split() for one in references or (REFERENCE,)], phrases)


def test_a_reference_suits_itself():
    assert rate(REFERENCE) == 1


@pytest.mark.parametrize(
    "text",
    [
        "golden fox has the food thai and the prices low",
        "golden fox the food is thai the prices are low",
        "name golden fox food thai prices low",
        "golden fox with thai in low",
        "in golden fox the thai of low",
    ],
)
def test_values_in_a_frame_do_not_suit(text):
    assert rate(text) == 0


def test_words_of_the_reference_beside_a_value_count():
    # Of three values, "thai food" and "low prices" count fully, and the name does not.
    assert rate("golden fox offers thai food at low prices") == 1
    # "Low prices" counts fully, and "restaurant" a quarter.
    mean = (0 + 1 / 4 + 1) / 3
    found = rate("golden fox is a thai restaurant with low prices")
    assert found == pytest.approx((mean - 0.3) / 0.35)


def test_the_nearest_word_or_a_content_word_alone_count_half():
    reference, phrases = "she was born in 1976", (("1976",),)
    assert rate("born in 1976", reference, phrases=phrases) == 1
    for half in ("moved in 1976", "born around 1976"):
        assert rate(half, reference, phrases=phrases) == rate(
            "died in 1976", reference, phrases=phrases
        )
    assert rate("it is 1976", reference, phrases=phrases) == 0


@pytest.mark.parametrize(
    ("text", "names", "mean"),
    [
        ("born in 1976 and she is oslo", (), 1 / 2),
        ("born in 1976 and her house is oslo", (), (1 + 1 / 4) / 2),
        ("born in 1976 and her house is oslo", ("house",), 1 / 2),
        ("her house 1976 and her house oslo", (), 0),
    ],
)
def test_a_content_word_of_the_text_s_own_counts_a_quarter_and_once(text, names, mean):
    found = suited(
        text.split(),
        [["she", "was", "born", "in", "1976", "and", "lives", "in", "oslo"]],
        (("1976",), ("oslo",)),
        names,
    )
    assert found == pytest.approx(max(0, (mean - 0.3) / 0.35))


def test_of_several_references_each_value_takes_the_nearest():
    both = ("golden fox serves thai meals", "the fox has low prices")
    assert rate("golden fox serves thai and has low prices", *both) == 1


def test_a_value_within_a_longer_one_does_not_take_its_place():
    phrases = (("5",), ("5", "out", "of", "5"))
    reference = "it has 5 rooms and is rated 5 out of 5"
    assert rate("it is rated 5 out of 5 and has 5 rooms", reference, phrases=phrases) == 1


def test_without_values_that_both_texts_have_there_is_nothing_to_compare():
    assert rate("a place to eat") == 1
    assert rate("golden fox", "the restaurant is good") == 1
