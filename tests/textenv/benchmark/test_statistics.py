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
    make_estimate,
    spearman,
    stratified_bootstrap,
    two_way_bootstrap,
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


def test_two_seeds_are_stretched_by_students_quantile():
    # Seeds of 0 and 2: means are 1 - s, 1 and 1 + s with chances 1/4, 1/2, 1/4, where s is
    # sqrt(2 / 1) for n - 1 in place of n, times 12.706 / 1.960, t of 1 degree over normal.
    drawn = two_way_bootstrap([[0, 0, 0], [2, 2, 2]], resamples=4000)[:, 0]
    stretch = 2**0.5 * 12.706205 / 1.959964
    assert np.unique(drawn.round(9)) == pytest.approx([1 - stretch, 1, 1 + stretch])
    assert (drawn > 1.5).mean() == pytest.approx(1 / 4, abs=0.03)


@pytest.mark.parametrize(
    ("n", "t"), [(2, 12.706), (5, 2.776), (10, 2.262), (31, 2.042), (101, 1.984), (1001, 1.9623)]
)
def test_an_axis_alone_has_students_interval(n: int, t: float):
    """The quantiles are those of printed tables; n values have n - 1 degrees of freedom."""
    values = np.random.default_rng(n).normal(size=n)
    drawn = two_way_bootstrap(values[:, None], resamples=4000)[:, 0]
    standard_error = values.std(ddof=1) / np.sqrt(n)
    assert drawn.std() == pytest.approx(standard_error * t / 1.96, rel=0.04)
    assert drawn.mean() == pytest.approx(values.mean(), abs=0.1 * drawn.std())
    assert two_way_bootstrap(values[None], resamples=4000).std() == pytest.approx(
        standard_error * t / 1.96, rel=0.04
    )


@pytest.mark.parametrize(
    ("n", "t"), [(6, 2.5706), (9, 2.3060), (10, 2.2622), (13, 2.1788), (26, 2.0595), (61, 2.0003)]
)
def test_the_stretch_is_students_quantile_to_four_digits(n: int, t: float):
    # One value of 1: a draw without it has mean 1 / n - stretch / n.
    lowest = two_way_bootstrap(np.eye(n)[:, :1], resamples=500).min()
    stretch = 1 - n * lowest
    assert stretch / (n / (n - 1)) ** 0.5 * 1.959964 == pytest.approx(t, abs=5e-4)


@pytest.mark.parametrize("spread", [(1, 0, 0), (0, 1, 0), (1, 1, 1), (0.3, 1, 1)])
def test_two_way_intervals_hold_the_truth_even_with_five_seeds(spread):
    rng = np.random.default_rng(6)
    hits = 0
    for i in range(300):
        seeds, prompts, cells = (
            s * rng.normal(size=shape)
            for s, shape in zip(spread, [(5, 1), (1, 40), (5, 40)], strict=True)
        )
        values = 2 + seeds + prompts + cells
        drawn = two_way_bootstrap(values, resamples=400, seed=i)[:, 0]
        low, high = make_estimate(values.mean(), drawn).ci95
        hits += low <= 2 <= high
    assert hits / 300 > 0.92


def test_tables_share_seeds_and_prompts():
    table = np.random.default_rng(7).normal(size=(4, 9))
    drawn = two_way_bootstrap(table, table + 1, 2 * table, resamples=300)
    assert drawn.shape == (300, 3)
    assert drawn[:, 1] - drawn[:, 0] == pytest.approx(np.ones(300))
    assert drawn[:, 2] == pytest.approx(2 * drawn[:, 0])


def test_tables_of_other_seeds_share_the_prompts_alone():
    prompts, seeds = np.arange(6.0)[None], np.arange(3.0)[:, None]
    first, second = prompts + 0 * seeds, np.repeat(prompts, 5, axis=0)
    drawn = two_way_bootstrap(first, second, paired_seeds=False, resamples=200)
    assert drawn[:, 0] == pytest.approx(drawn[:, 1])
    by_seed = seeds + 0 * prompts
    drawn = two_way_bootstrap(by_seed, by_seed, paired_seeds=False, resamples=2000)
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(0, abs=0.08)


def test_a_single_seed_leaves_the_prompts_chance():
    values = np.random.default_rng(8).normal(size=(1, 30))
    one = two_way_bootstrap(values, resamples=2000, seed=1)
    assert one.std() == pytest.approx(values.std(ddof=1) / np.sqrt(30) * 2.045 / 1.96, rel=0.06)


@pytest.mark.parametrize("tables", [([[1.0]], [[1.0, 2.0]]), ([1.0, 2.0],), ([[]],)])
def test_tables_that_do_not_match_are_refused(tables):
    with pytest.raises(ConfigError, match=r"[Tt]able"):
        two_way_bootstrap(*tables)
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
