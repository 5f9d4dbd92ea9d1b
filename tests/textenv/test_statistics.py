"""Bootstrap intervals: exact where they must be, and about right where chance decides."""

from __future__ import annotations

import numpy as np
import pytest

from textenv.benchmark.statistics import bootstrap_mean


def test_constant_data_leave_no_doubt():
    estimate = bootstrap_mean([0.25] * 7)
    assert estimate.mean == 0.25
    assert estimate.ci95 == (0.25, 0.25)
    assert bootstrap_mean([3.0]).ci95 == (3.0, 3.0)


def test_two_values_have_the_interval_of_their_three_means():
    """Means are 0, 1/2 and 1 with chances 1/4, 1/2, 1/4: 2.5 % lies at 0."""
    estimate = bootstrap_mean([0.0, 1.0])
    assert estimate.mean == 0.5
    assert estimate.ci95 == (0.0, 1.0)


def test_a_large_sample_has_the_normal_interval():
    values = np.random.default_rng(0).normal(5.0, 2.0, size=400)
    estimate = bootstrap_mean(values)
    half = 1.96 * values.std() / np.sqrt(400)
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.ci95 == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.1 * half
    )


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for i in range(300):
        low, high = bootstrap_mean(rng.exponential(1.0, size=60), seed=i, resamples=500).ci95
        hits += low <= 1.0 <= high
    # The percentile bootstrap of a skewed sample covers a little less than 95 %.
    assert 0.88 < hits / 300 < 0.99


def test_the_seed_decides():
    values = np.random.default_rng(2).random(20)
    assert bootstrap_mean(values, seed=4) == bootstrap_mean(values, seed=4)
    assert bootstrap_mean(values, seed=4) != bootstrap_mean(values, seed=5)


def test_the_number_of_resamples_need_not_be_round():
    values = np.random.default_rng(3).random(20)
    whole, part = (bootstrap_mean(values, resamples=n) for n in (1000, 1250))
    assert whole.mean == part.mean
    assert whole != part


def test_it_becomes_plain_values():
    assert bootstrap_mean([1.0, 1.0]).to_json() == {"mean": 1.0, "ci95": [1.0, 1.0]}
