"""Bootstrap intervals: exact where they must be, and about right where chance decides.

The statistics of Agarwal et al. 2021 are worked by hand with the formulas that rliable publishes:
a quarter of n rounded down at each end, and runs of each task drawn by themselves.
"""

from __future__ import annotations

import numpy as np
import pytest

from textenv.benchmark.statistics import (
    bootstrap_mean,
    iqm,
    spearman,
    stratified_bootstrap,
)
from textenv.errors import ConfigError


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


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    # 3 runs of 2 tasks: 6 scores, of which int(6 / 4) = 1 goes at each end: (2 + 3 + 4 + 5) / 4.
    assert iqm([[1, 2], [60, 4], [5, 3]]) == 3.5
    # 8 scores: 2 go at each end. 3 scores: none.
    assert iqm([9, 1, 2, -50, 3, 4, 99, 5]) == 3.5
    assert iqm([[0.0], [1.0], [5.0]]) == 2.0
    assert iqm([[7.0]]) == 7.0


def test_many_tables_are_reduced_at_once():
    tables = np.random.default_rng(4).normal(size=(3, 5, 4))
    assert iqm(tables) == pytest.approx([iqm(table) for table in tables])


def test_runs_are_resampled_within_each_task_by_themselves():
    """Whole rows have mean 1/2 whichever are drawn; apart, 0 and 1 have a chance of 1/16 each."""

    def mean(tables):
        return tables.mean(axis=(1, 2))

    estimate = stratified_bootstrap([[0, 1], [1, 0]], mean, resamples=2000)
    assert estimate.mean == 0.5
    assert estimate.ci95 == (0.0, 1.0)
    # A task keeps its own runs: with one level each, nothing is left to chance.
    assert stratified_bootstrap([[3, 8], [3, 8]], mean, resamples=200).ci95 == (5.5, 5.5)


def test_the_statistic_of_a_stratified_bootstrap_is_the_interquartile_mean_by_default():
    scores = np.random.default_rng(5).normal(size=(10, 3))
    estimate = stratified_bootstrap(scores, resamples=500)
    assert estimate.mean == iqm(scores)
    assert estimate.ci95[0] < estimate.mean < estimate.ci95[1]
    assert estimate == stratified_bootstrap(scores, resamples=500, seed=0)
    assert estimate != stratified_bootstrap(scores, resamples=500, seed=1)


def test_a_bootstrap_of_runs_needs_a_table():
    with pytest.raises(ConfigError, match="n_runs, n_tasks"):
        stratified_bootstrap([1.0, 2.0])


def test_rank_correlation_by_hand():
    # Squared differences of ranks sum to 2: 1 - 6 * 2 / (4 * 15).
    assert spearman([10, 20, 30, 40], [0.1, 0.3, 0.2, 9]) == pytest.approx(0.8)
    assert spearman([1, 2, 3], [9, 4, 1]) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / 22.5**0.5)
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    x, y = np.random.default_rng(0).normal(size=(2, 9))
    # The correlation of mean ranks, computed beforehand.
    assert spearman(x.round(), y.round(1)) == pytest.approx(-0.017817416127494958, rel=1e-9)
