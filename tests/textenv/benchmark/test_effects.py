"""Gains of few runs: Student's intervals, variances that lend each other strength, tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from textenv.benchmark.effects import Effect, Effects, moderate
from textenv.benchmark.power import Noise, measure_noise, smallest_gain


def tables_of(rng, n_runs, n_prompts, means, runs=0.2, prompts=0.3, rest=1.0):
    """Draws gains of designs by the model that `Effects` states."""
    return {
        name: mean
        + runs * rng.normal(size=(n_runs, 1))
        + prompts * rng.normal(size=(1, n_prompts))
        + rest * rng.normal(size=(n_runs, n_prompts))
        for name, mean in means.items()
    }


@pytest.mark.parametrize("n", [2, 5, 10])
@pytest.mark.parametrize("axis", [0, 1])
def test_an_axis_alone_has_students_interval(n: int, axis: int):
    values = np.random.default_rng(n).normal(size=n)
    table = np.repeat(values[:, None], 3, axis=1)
    effect = Effects({"a": table if axis == 0 else values[None]}).since_start("a")
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert effect.estimate().ci95 == pytest.approx(tuple(expected))
    assert effect.sees_seeds == (axis == 0)
    if axis == 0:
        assert effect.p() == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_designs_whose_runs_vary_alike_are_compared_as_by_students_pooled_test():
    rng = np.random.default_rng(0)
    one, other = ((x - x.mean()) / x.std() + x.mean() for x in rng.normal(0.5, 1, (2, 4)))
    tables = {"one": one[:, None].repeat(2, 1), "other": other[:, None].repeat(2, 1)}
    effect = Effects(tables).minus("one", "other")
    expected = stats.ttest_ind(one, other)
    assert effect.df == pytest.approx(6)
    assert effect.p() == pytest.approx(expected.pvalue)
    assert effect.estimate().ci95 == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_a_control_is_subtracted_and_its_noise_counts():
    rng = np.random.default_rng(1)
    tables = tables_of(rng, 3, 50, {"a": 1.0, "random": 0.5})
    alone, beside = Effects(tables), Effects(tables, "random")
    assert alone.gain("a") == alone.since_start("a")
    assert beside.gain("a").mean == pytest.approx(tables["a"].mean() - tables["random"].mean())
    assert beside.gain("a").se > alone.gain("a").se
    assert Effects(tables, "none of them").gain("a") == alone.gain("a")


def test_what_a_prompt_does_to_both_designs_cancels():
    rng = np.random.default_rng(2)
    hard = 5 * rng.normal(size=(1, 40))
    tables = {name: table + hard for name, table in tables_of(rng, 3, 40, {"a": 1, "b": 0}).items()}
    effects = Effects(tables)
    assert effects.minus("a", "b").se < 0.5 < effects.since_start("a").se


def test_one_run_of_each_shows_nothing():
    effects = Effects({"a": np.full((1, 9), 5.0) + np.arange(9), "b": np.zeros((1, 9))}, "b")
    effect = effects.gain("a")
    assert not effect.sees_seeds
    assert not effect.exceeds(-100)
    assert not effect.stays_below(100)
    assert not effect.is_within(100)
    assert effect.p() == 1.0
    assert effect.estimate().ci95[0] > 0  # over prompts, as far as they go


def test_a_design_with_one_run_has_a_wide_interval_and_shows_nothing():
    rng = np.random.default_rng(3)
    tables = tables_of(rng, 4, 30, {"a": 0.0, "b": 0.0})
    tables["lonely"] = tables_of(rng, 1, 30, {"x": 9.0})["x"]
    effect = Effects(tables).since_start("lonely")
    assert not effect.exceeds(0)
    assert effect.se > Effects(tables).since_start("a").se
    # Beside a control that was run once, nothing is shown either.
    assert not Effects(tables, "lonely").gain("a").stays_below(0)
    assert not Effects({"a": np.ones((4, 1)), "b": np.zeros((4, 1))}).since_start("a").exceeds(0)


@pytest.mark.parametrize("n_runs", [2, 3, 5])
def test_intervals_hold_the_truth_of_a_design_whose_runs_vary_three_times_as_much(n_runs):
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(300):
        tables = tables_of(rng, n_runs, 40, {"b": 0.0, "c": 1.0, "random": 0.5})
        tables |= tables_of(rng, n_runs, 40, {"a": 2.0}, runs=0.6)
        low, high = Effects(tables, "random").gain("a").estimate().ci95
        hits += low <= 1.5 <= high
    assert hits / 300 > 0.85


@pytest.mark.parametrize("spread", [(1, 0, 0), (0, 1, 0), (0.2, 0.3, 1), (1, 1, 1)])
@pytest.mark.parametrize("n_runs", [2, 3, 5])
def test_intervals_hold_the_truth(spread, n_runs):
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(300):
        means = {"a": 2.0, "b": 0.0, "c": 1.0, "random": 0.5}
        effect = Effects(tables_of(rng, n_runs, 40, means, *spread), "random").gain("a")
        low, high = effect.estimate().ci95
        hits += low <= 1.5 <= high
    assert hits / 300 > 0.9


def test_equal_variances_are_pooled():
    assert moderate([2.0, 2.0, 2.0], [3, 3, 3]) == [pytest.approx((2.0, 9.0))] * 3
    # Pooled as samples of their sizes are.
    assert moderate([1.0, 1.3], [2, 6]) == [pytest.approx(((2 * 1.0 + 6 * 1.3) / 8, 8.0))] * 2
    assert moderate([0.0, 0.0], [1, 1]) == [(0.0, 2.0)] * 2
    assert moderate([0.0, 3.0], [0, 4]) == [(3.0, 4.0)] * 2
    assert moderate([0.0], [0]) == [(0.0, 0.0)]


def test_variances_that_differ_are_left_apart():
    found = moderate([0.01, 1.0, 100.0, 10_000.0], [20, 20, 20, 20])
    for (variance, df), own in zip(found, (0.01, 1.0, 100.0, 10_000.0), strict=True):
        assert variance == pytest.approx(own, rel=0.4)
        assert 20 <= df < 22


def test_the_prior_of_many_variances_is_found():
    # Variances from a scaled inverse chi-square of 8 degrees about 2, seen through 4 of their own.
    rng = np.random.default_rng(5)
    true = 2 * 8 / rng.chisquare(8, 4000)
    seen = true * rng.chisquare(4, 4000) / 4
    moderated = np.array(moderate(seen.tolist(), [4] * 4000))
    assert moderated[:, 1] == pytest.approx(4 + 8, rel=0.12)
    # (8 * 2 + 4 * own) / 12: the posterior mean's harmonic kind, nearer to the truth than their own
    assert moderated[:, 0] == pytest.approx((8 * 2 + 4 * seen) / 12, rel=0.1)
    error = np.log(moderated[:, 0] / true).std(), np.log(seen / true).std()
    assert error[0] < 0.75 * error[1]


def test_what_is_shown_is_shown_at_5_percent():
    effect = Effect(mean=1.0, se=0.5, df=10, sees_seeds=True)
    reach = 0.5 * 1.8125  # t of 10 degrees of freedom, from a printed table
    assert effect.exceeds(1 - reach - 1e-3)
    assert not effect.exceeds(1 - reach + 1e-3)
    assert effect.stays_below(1 + reach + 1e-3)
    assert not effect.stays_below(1 + reach - 1e-3)
    assert effect.is_within(1 + reach + 1e-3)
    assert not effect.is_within(1.5)
    low, high = effect.estimate().ci95
    assert (low, high) == pytest.approx((1 - 0.5 * 2.2281, 1 + 0.5 * 2.2281), abs=1e-3)
    assert effect.estimate(5).ci95[0] == pytest.approx(1 - 0.5 * 3.1693, abs=1e-3)  # t at 0.005


def test_noise_is_measured_and_tells_what_can_be_found():
    rng = np.random.default_rng(6)
    tables = tables_of(rng, 60, 200, dict.fromkeys("abcdef", 0.0), runs=0.2, prompts=0.4, rest=1.1)
    noise = measure_noise(tables)
    assert noise.runs == pytest.approx(0.2, rel=0.1)
    assert noise.prompts == pytest.approx(0.4, rel=0.1)
    assert noise.rest == pytest.approx(1.1, rel=0.02)
    assert measure_noise({"a": np.zeros((1, 5))}) is None


@pytest.mark.parametrize(("n_seeds", "n_designs"), [(2, 4), (3, 1), (5, 3)])
def test_the_smallest_gain_is_found_four_times_in_five(n_seeds, n_designs):
    rng = np.random.default_rng(7)
    noise = Noise(0.2, 0.3, 1.0)
    gain = smallest_gain(noise, n_seeds, 96, n_designs)
    means = {"a": gain, "random": 0.0, **dict.fromkeys("bcdefg"[: n_designs - 1], 0.0)}
    found = [Effects(tables_of(rng, n_seeds, 96, means), "random").gain("a") for _ in range(400)]
    assert sum(effect.exceeds(0) for effect in found) / 400 == pytest.approx(0.8, abs=0.07)


def test_one_seed_finds_nothing():
    assert smallest_gain(Noise(), 1, 96, 4) is None
    without = smallest_gain(Noise(), 3, 96, 4, control=False)
    assert without < smallest_gain(Noise(), 3, 96, 4)
