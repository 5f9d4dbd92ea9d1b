"""Comparisons of agents: worked by hand with the published formulas."""

from __future__ import annotations

import numpy as np
import pytest

from textenv.benchmark.comparison import bootstrap_p, holm, probability_of_improvement
from textenv.benchmark.statistics import iqm, make_estimate
from textenv.errors import ConfigError


def test_the_probability_of_improvement_is_the_share_of_pairs_won():
    # X's runs of the first task are 1 2 1 2, Y's 1 2 3. A 1 wins 1/2 of 3 pairs (a tie), a 2 wins
    # 1 + 1/2: in all 2 * 0.5 + 2 * 1.5 of 12. The second task has the same scores in another order.
    x = [[1, 2], [2, 2], [1, 1], [2, 1]]
    y = [[1, 1], [2, 2], [3, 3]]
    assert probability_of_improvement(x, y).mean == pytest.approx(1 / 3)
    assert probability_of_improvement(y, x).mean == pytest.approx(2 / 3)


def test_a_worked_example_in_rliables_layout():
    # Runs are rows, tasks columns. Of X's 12 scores in order, 0.05 0.20 0.20 0.28 0.35 0.58 0.61
    # 0.66 0.75 0.90 1.10 1.30, 3 go at each end: (0.28 + 0.35 + 0.58 + 0.61 + 0.66 + 0.75) / 6.
    x = [[0.61, 1.10, 0.20], [0.75, 0.90, 0.35], [0.58, 1.30, 0.05], [0.66, 0.20, 0.28]]
    y = [[0.60, 0.95, 0.28], [0.70, 1.10, 0.15], [0.75, 0.85, 0.30]]
    assert iqm(x) == pytest.approx(3.23 / 6)
    # Each run of X meets 3 of Y; by task it wins 1 + 2.5 + 0 + 1, 2.5 + 1 + 3 + 0, 1 + 3 + 0 + 1.5.
    assert probability_of_improvement(x, y).mean == pytest.approx((4.5 + 6.5 + 5.5) / 36)


def test_tasks_weigh_the_same():
    # Always better on one task, always worse on two.
    x, y = [[5, 0, 0], [5, 0, 0]], [[1, 1, 1]]
    estimate = probability_of_improvement(x, y, resamples=100)
    assert estimate.mean == pytest.approx(1 / 3)
    assert estimate.ci95 == pytest.approx((1 / 3, 1 / 3))


def test_equal_agents_have_even_chances():
    assert probability_of_improvement([1, 2, 3], [1, 2, 3]).mean == 0.5


def test_its_interval_comes_from_drawing_runs():
    # X draws twice of (1, 3) against 2: loses both, one or none with chances 1/4, 1/2, 1/4.
    estimate = probability_of_improvement([1, 3], [2])
    assert estimate.mean == 0.5
    assert estimate.ci95 == (0.0, 1.0)


def test_runs_of_each_task_are_drawn_apart():
    # Over 4 such tasks the sum of wins is binomial, 8 draws of 1/2: none has a chance of 1/256, at
    # most one 9/256. Whole rows would lose all with a chance of 1/4.
    x, y = [[1] * 4, [3] * 4], [[2] * 4]
    assert probability_of_improvement(x, y).ci95 == pytest.approx((1 / 8, 7 / 8))


def test_the_seed_decides():
    x, y = np.random.default_rng(3).normal(size=(2, 7, 3))
    one, same, other = (probability_of_improvement(x, y, resamples=700, seed=s) for s in (1, 1, 2))
    assert one == same != other


def test_its_interval_holds_the_truth_about_as_often_as_it_says():
    # P(X > Y) = Phi(1 / sqrt(2)) = 0.7602
    rng = np.random.default_rng(0)
    hits = 0
    for i in range(200):
        x, y = rng.normal(1, 1, size=(20, 2)), rng.normal(size=(15, 2))
        low, high = probability_of_improvement(x, y, resamples=300, seed=i).ci95
        hits += low <= 0.7602 <= high
    assert 0.88 < hits / 200 < 0.99


def test_agents_on_different_tasks_are_not_compared():
    with pytest.raises(ConfigError, match="2 tasks and Y on 3"):
        probability_of_improvement(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(ConfigError, match="n_runs, n_tasks"):
        probability_of_improvement([], [1.0])


def test_a_p_value_counts_the_rarer_side_twice_and_one_more():
    assert bootstrap_p(np.ones(99)) == pytest.approx(2 * 1 / 100)
    assert bootstrap_p([-1.0] * 4 + [1.0] * 95) == pytest.approx(2 * 5 / 100)
    assert bootstrap_p([1.0] * 4 + [-1.0] * 95) == pytest.approx(2 * 5 / 100)
    assert bootstrap_p(np.zeros(10)) == 1.0
    assert bootstrap_p([-1.0, 1.0]) == 1.0


def test_a_small_p_value_means_an_interval_without_0():
    rng = np.random.default_rng(1)
    for mean in np.linspace(0, 4, 40):
        resampled = rng.normal(mean, 1, size=400)
        if bootstrap_p(resampled) < 0.05:
            assert make_estimate(mean, resampled).ci95[0] > 0


def test_holm_by_hand():
    # In order 0.005 * 4, 0.01 * 3, 0.03 * 2; the last, 0.04 * 1, may not fall below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == pytest.approx([1, 1])
    assert holm([0.03]) == pytest.approx([0.03])
    assert holm([]).shape == (0,)


def test_holm_stays_between_the_p_value_and_bonferronis():
    p = np.random.default_rng(2).random(20) ** 3
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(20 * p, 1)).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
