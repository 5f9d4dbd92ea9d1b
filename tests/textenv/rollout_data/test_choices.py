"""The best answers, the pairs that differ most, and the threshold between good and bad, by hand."""

from __future__ import annotations

import pytest

from textenv import ConfigError, Turn
from textenv.conversations import Conversation
from textenv.rollout_data.choices import (
    choose_best,
    choose_pairs,
    count_alike,
    find_threshold,
    spread_over_prompts,
)
from textenv.rollout_data.formats import kto_row
from textenv.rollout_data.rows import Rollout


def made(id, *answers):
    """Rollouts of one prompt: each a text and its reward."""
    return [
        Rollout(id, Conversation((Turn("user", id),), (Turn("assistant", text),)), reward)
        for text, reward in answers
    ]


def texts(rollouts):
    return [rollout.conversation.said[0].text for rollout in rollouts]


ONE = made("one", ("a", 0.2), ("b", 0.9), ("c", 0.5), ("b", 0.9), ("d", 0.9))
TWO = made("two", ("x", 0.1), ("y", 0.1))


def test_the_best_of_each_prompt_is_its_first_of_the_highest_reward():
    assert texts(choose_best(ONE + TWO)) == ["b", "x"]
    assert texts(choose_best([ONE[0], TWO[0], *ONE[1:]])) == ["b", "x"]


def test_the_same_answer_is_not_among_the_best_twice():
    assert texts(choose_best(ONE, 3)) == ["b", "d", "c"]
    assert texts(choose_best(ONE, 9)) == ["b", "d", "c", "a"]


def test_the_top_share_is_of_those_that_were_chosen():
    assert texts(choose_best(ONE + TWO, 2, top=0.5)) == ["b", "d"]
    assert texts(choose_best(ONE + TWO, 1, top=0.5)) == ["b"]
    assert texts(choose_best(ONE + TWO, 2, top=0.6)) == ["b", "d", "x"]


def test_a_least_reward_leaves_prompts_out():
    assert texts(choose_best(ONE + TWO, min_reward=0.1)) == ["b", "x"]
    assert texts(choose_best(ONE + TWO, min_reward=0.2)) == ["b"]


def test_the_first_pair_is_the_best_against_the_worst_and_ties_are_none():
    (pair,) = choose_pairs(ONE + TWO)
    assert texts([pair.chosen, pair.rejected]) == ["b", "a"]
    assert pair.margin == pytest.approx(0.7)


def test_further_pairs_differ_less_and_a_margin_ends_them():
    def found(*arguments, **options):
        return ["".join(texts([p.chosen, p.rejected])) for p in choose_pairs(*arguments, **options)]

    assert found(ONE, 9) == ["ba", "da", "bc", "dc", "ca"]
    assert found(ONE, 2) == ["ba", "da"]
    assert found(ONE, 9, margin=0.4) == ["ba", "da", "bc", "dc"]
    assert found(ONE, 9, margin=0.8) == []


def test_answers_of_two_prompts_are_never_a_pair():
    asked_otherwise = Conversation((Turn("user", "two"),), ONE[1].conversation.said)
    assert choose_pairs([ONE[0], Rollout("one", asked_otherwise, 0.9)]) == []
    assert len(choose_pairs([ONE[0], ONE[1]])) == 1


@pytest.mark.parametrize(
    ("rewards", "quantile", "threshold"),
    [
        ([0.1, 0.2, 0.3, 0.4], 0.5, 0.3),
        ([0.1, 0.2, 0.3, 0.4], 0.75, 0.4),
        ([0.1, 0.2, 0.3, 0.4], 0.01, 0.2),
        ([0, 0, 0, 1], 0.5, 1),
        ([1, 1, 1, 0], 0.5, 1),
        ([0, 0.5, 0.5, 1], 0.5, 0.5),  # a quarter and three quarters below: the lower
    ],
)
def test_the_threshold_leaves_about_a_share_below_and_some_on_both_sides(
    rewards, quantile, threshold
):
    assert find_threshold(rewards, quantile) == threshold


def test_equal_rewards_have_no_threshold():
    with pytest.raises(ConfigError, match="All answers earn the same"):
        find_threshold([0.5] * 4)
    with pytest.raises(ConfigError, match="All answers earn the same"):
        find_threshold([0.3, 0.1 + 0.2])


def test_prompts_whose_answers_earn_the_same_are_counted():
    assert count_alike(ONE + TWO + made("three", ("z", 0.4))) == 1


def test_neighbours_answer_other_prompts():
    assert texts(spread_over_prompts(ONE + TWO)) == ["a", "x", "b", "y", "c", "b", "d"]


def test_of_the_smallest_share_the_best_answer_is_left():
    assert texts(choose_best(ONE + TWO, top=1e-12)) == ["b"]


def test_a_reward_that_misses_the_threshold_by_a_last_digit_is_good():
    rollouts = made("one", ("a", 1 - 0.9), ("b", 0.1), ("c", 0.0999))
    assert [kto_row(rollout, 0.1)["label"] for rollout in rollouts] == [True, True, False]
    assert find_threshold([0.0, 1 - 0.9, 0.1, 0.1], quantile=0.5) == 1 - 0.9
