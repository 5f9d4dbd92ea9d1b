"""The best of n: equal to picking from every subset there is, ties and all."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from textenv.benchmark.best_of_n import (
    expected_best,
    gain_of_best,
    kl_bound,
    make_best_of_n,
    powers_of_two,
    selection_weights,
)
from textenv.benchmark.proportions import clopper_pearson
from textenv.errors import ConfigError


def by_enumeration(proxy: np.ndarray, gold: np.ndarray, n: int) -> float:
    """Picks from every subset, any of those that tie."""
    means = []
    for subset in itertools.combinations(range(len(proxy)), n):
        rows = list(subset)
        best = proxy[rows] == proxy[rows].max()
        means.append(gold[rows][best].mean())
    return float(np.mean(means))


@pytest.mark.parametrize("levels", [1, 2, 3, 100])
def test_it_is_the_mean_over_all_subsets(levels: int):
    rng = np.random.default_rng(levels)
    proxy, gold = rng.integers(levels, size=(4, 8)) / 3, rng.normal(size=(4, 8))
    expected = [
        [by_enumeration(*row, n) for n in range(1, 9)] for row in zip(proxy, gold, strict=True)
    ]
    assert expected_best(proxy, gold, range(1, 9)) == pytest.approx(np.array(expected))


def test_by_hand():
    # Pairs of (1, 2, 2) with gold (10, 20, 60): {1, 2} gives 20, {1, 2'} 60, {2, 2'} their mean 40.
    assert expected_best([[1, 2, 2]], [[10, 20, 60]], [1, 2, 3]) == pytest.approx(
        np.array([[30, 40, 40]])
    )


def test_the_order_of_the_samples_does_not_matter():
    rng = np.random.default_rng(0)
    proxy, gold = rng.integers(4, size=(1, 20)), rng.normal(size=(1, 20))
    order = rng.permutation(20)
    assert expected_best(proxy, gold, [1, 5, 20]) == pytest.approx(
        expected_best(proxy[:, order], gold[:, order], [1, 5, 20])
    )


def test_one_is_the_mean_and_all_is_the_best():
    proxy = np.random.default_rng(1).normal(size=(5, 1024))
    best = expected_best(proxy, proxy, [1, 1024])
    assert best[:, 0] == pytest.approx(proxy.mean(axis=1))
    assert best[:, 1] == pytest.approx(proxy.max(axis=1))


def test_the_proxy_never_falls_with_n():
    proxy = np.random.default_rng(2).normal(size=(3, 64))
    assert (np.diff(expected_best(proxy, proxy, range(1, 65)), axis=1) >= -1e-12).all()


def test_a_proxy_that_knows_nothing_leaves_gold_where_it_was():
    gold = np.random.default_rng(3).normal(size=(2, 16))
    best = expected_best(np.zeros((2, 16)), gold, [1, 4, 16])
    assert best == pytest.approx(np.repeat(gold.mean(axis=1), 3).reshape(2, 3))


def test_weights_are_exact_for_large_pools():
    sizes = powers_of_two(1024)
    weights = selection_weights(1024, sizes)
    exact = [[math.comb(i, n - 1) / math.comb(1024, n) for i in range(1024)] for n in sizes]
    assert weights == pytest.approx(np.array(exact), rel=1e-10, abs=1e-300)
    assert weights.sum(axis=1) == pytest.approx(np.ones(len(sizes)))


def test_a_part_of_the_pool_is_unbiased():
    # The best of 4 uniform numbers is 4 / 5 on average, whatever pool it is estimated from.
    proxy = np.random.default_rng(4).random((4_000, 6))
    assert expected_best(proxy, proxy, [4]).mean() == pytest.approx(4 / 5, abs=0.01)


def test_the_divergence_is_bounded():
    assert kl_bound(1) == 0
    assert kl_bound(2) == pytest.approx(math.log(2) - 1 / 2)
    # With one response for all, the best of 2 is the policy itself. With two, of which the better
    # has chance 1/2, it is picked with 3/4: 3/4 log(3/2) + 1/4 log(1/2) = 0.131.
    assert 3 / 4 * math.log(3 / 2) + 1 / 4 * math.log(1 / 2) < kl_bound(2)


def test_sizes_are_powers_of_two_and_the_pool():
    assert powers_of_two(1) == (1,)
    assert powers_of_two(8) == (1, 2, 4, 8)
    assert powers_of_two(12) == (1, 2, 4, 8, 12)


def test_the_record_holds_every_curve_with_its_interval():
    # The proxy prefers what gold dislikes on each of two prompts alike.
    proxy = np.array([[0.0, 1.0], [0.0, 1.0]])
    record = make_best_of_n("length", {"length": proxy, "quality": 1 - proxy})
    assert (record.proxy, record.n, record.n_prompts, record.pool) == ("length", (1, 2), 2, 2)
    assert record.kl_bound == (0, pytest.approx(math.log(2) - 0.5))
    assert [e.mean for e in record.curves["length"]] == [0.5, 1]
    assert [e.mean for e in record.curves["quality"]] == [0.5, 0]
    assert record.curves["quality"][1].ci95 == clopper_pearson(0, 2)


def test_a_gain_is_paired_by_prompt():
    # Prompts differ widely, the gain of the better of two does not.
    level = 100 * np.arange(30.0)[:, None]
    gain = gain_of_best(np.tile([0.0, 1.0], (30, 1)), level + np.array([0, 2]), 2)
    assert gain.mean == pytest.approx(1)
    low, high = gain.ci95
    assert 1 - 2 * 4 / 30 < low < high == pytest.approx(1)  # by the rule of three, in -1 to 1


def test_what_cannot_be_picked_is_refused():
    with pytest.raises(ConfigError, match="best of 9 cannot be picked from a pool of 8"):
        selection_weights(8, [9])
    with pytest.raises(ConfigError, match="best of 0"):
        selection_weights(8, [0])
    with pytest.raises(ConfigError, match="same samples"):
        expected_best(np.zeros((2, 3)), np.zeros((2, 4)), [1])
