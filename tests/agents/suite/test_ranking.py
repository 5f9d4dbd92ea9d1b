"""Ranks are ranges, from paired comparisons of all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from agents.suite.ranking import Place, compare, rank
from agents.suite.results import estimate_score


def test_on_one_task_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 1, 30))
    difference, p = compare(one, other + 0.1)
    assert difference == pytest.approx((one - other - 0.1).mean())
    assert p == pytest.approx(ttest_rel(one[0], other[0] + 0.1).pvalue)


def test_on_several_tasks_the_variance_is_that_of_a_stratified_mean():
    one = np.array([[1.0, 0.0, 1.0, 1.0], [0.5, 0.7, 0.5, 0.7]])
    other = np.array([[0.0, 0.0, 1.0, 0.0], [0.4, 0.4, 0.4, 0.4]])
    # Differences 1 0 0 1 (variance 1/3) and .1 .3 .1 .3 (variance .04/3), four each, two tasks.
    parts = np.array([1 / 3, 0.04 / 3]) / 4 / 4
    df = parts.sum() ** 2 / (parts**2 / 3).sum()
    from scipy.stats import t

    difference, p = compare(one, other)
    assert difference == pytest.approx(0.35)
    assert p == pytest.approx(2 * t.sf(0.35 / np.sqrt(parts.sum()), df))


def test_few_examples_that_agree_are_few_examples():
    one, other = np.ones((2, 4)), np.zeros((2, 4))
    assert compare(one, other) == (1.0, 2.0**-7)
    assert compare(one, one) == (0.0, 1.0)
    nearly = np.array([[1.0, 1.0, 1.0, 0.999]])
    assert compare(nearly, np.zeros((1, 4)))[1] == 2.0**-3
    assert compare(np.ones((2, 1)), np.zeros((2, 1)))[1] == 1.0


def test_a_clear_order_has_certain_ranks_and_equal_agents_share_a_range():
    rng = np.random.default_rng(1)
    base = rng.random((3, 40))
    noise = [rng.normal(0, 0.05, base.shape) for _ in range(4)]
    found = rank([base + 0.5, base + noise[0], base + noise[1], base - 0.5 + noise[2]])
    assert found.places == (Place(1, 1), Place(2, 3), Place(2, 3), Place(4, 4))
    assert [str(place) for place in found.places] == ["1", "2–3", "2–3", "4"]
    assert found.is_better(0, 1)
    assert not found.is_better(1, 0)
    assert not found.is_better(1, 2)
    assert np.array_equal(found.p_values, found.p_values.T)
    assert np.array_equal(found.differences, -found.differences.T)


def test_one_agent_has_the_first_place():
    assert rank([np.ones((2, 4))]).places == (Place(1, 1),)


def test_of_agents_that_are_equally_good_few_tables_call_one_better():
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(200):
        # Harder and easier examples, and scores of 0 and 1, as verifiable rewards are.
        chance = rng.random((4, 16))
        found = rank([(rng.random((4, 16)) < chance).astype(float) for _ in range(5)])
        wrong += any(place != Place(1, 5) for place in found.places)
    # 5 % are allowed; 200 tables of such have more than 18 with a chance of 1 %.
    assert wrong <= 18


def test_the_interval_of_a_score_is_that_of_its_tasks_examples():
    rng = np.random.default_rng(3)
    scores = np.stack([rng.normal(0.2, 0.1, 400), rng.normal(0.8, 0.3, 400)])
    found = estimate_score(scores)
    se = np.sqrt(scores.var(axis=1, ddof=1).sum() / 400) / 2
    assert found.mean == pytest.approx(scores.mean())
    # Not the spread between the tasks, which is fixed.
    low, high = found.ci95
    assert (high - low) / 2 == pytest.approx(1.96 * se, rel=0.1)


def test_differences_that_cancel_show_nothing_however_constant_they_are():
    one, other = np.zeros((3, 48)), np.zeros((3, 48))
    one[0], one[1], other[2] = 0.1, 0.2, 0.3
    assert compare(one, other) == (0.0, 1.0)
