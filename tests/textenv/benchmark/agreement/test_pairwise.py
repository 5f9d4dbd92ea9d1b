from itertools import product

import numpy as np
import pytest

from textenv.benchmark.agreement.pairwise import (
    calibrate_ties,
    make_pairs,
    soft_accuracy,
    system_p_values,
)


def test_pairs_stay_within_their_group():
    pairs = make_pairs([np.array([4, 0, 2]), np.array([1]), np.array([3, 5])])
    assert list(zip(pairs.first, pairs.second, strict=True)) == [(4, 0), (4, 2), (0, 2), (3, 5)]
    assert pairs.item.tolist() == [0, 0, 0, 2]


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    scores, human = rng.integers(-4, 5, 40) / 3, rng.integers(-1, 2, 40)
    weights = rng.random(40)
    weights /= weights.sum()

    def accuracy(threshold):
        said = np.where(np.abs(scores) <= threshold, 0, np.sign(scores))
        return (weights * (said == human)).sum()

    threshold, is_right = calibrate_ties(scores, human, weights)
    tried = [accuracy(t) for t in (0, *np.abs(scores))]
    assert (weights * is_right).sum() == pytest.approx(max(tried))
    assert accuracy(threshold) == pytest.approx(max(tried))


def test_a_constant_reward_is_right_on_ties_alone():
    _, is_right = calibrate_ties(np.zeros(4), np.array([1, 0, -1, 0]), np.full(4, 0.25))
    assert is_right.tolist() == [0, 1, 0, 1]


def test_p_values_are_those_of_all_swaps():
    cells = np.array([[3.0, 1, 4, 1], [2, 7, 1, 8], [2, 1, 2, np.nan]])
    p_values = system_p_values(cells, permutations=40_000)
    for p, (i, j) in zip(p_values, ((0, 1), (0, 2), (1, 2)), strict=True):
        difference = np.nan_to_num(cells[i] - cells[j])
        swaps = [np.dot(signs, difference) for signs in product((-1, 1), repeat=4)]
        assert p == pytest.approx(np.mean(np.array(swaps) >= difference.sum()), abs=0.01)


def test_being_unsure_where_people_are_is_right():
    ones = np.ones(2)
    assert soft_accuracy(np.array([0.5, 0.01]), np.array([0.5, 0.01]), ones) == 1
    assert soft_accuracy(np.array([0.5, 0.0]), np.array([0.0, 0.0]), ones) == 0.75
