"""Curves over the distance from the start: known answers come back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from textenv.benchmark.overoptimisation import at_matched_kl, fit_gao, matched_kl

DISTANCES = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0])


def gao(d: np.ndarray, a: float, b: float) -> np.ndarray:
    return d * (a - b * np.log(np.where(d > 0, d, 1)))


def test_a_curve_without_noise_gives_its_coefficients_back():
    # It turns at d = exp(1 / 0.8 - 1) = exp(0.25), which is a KL of exp(0.5).
    fit = fit_gao(DISTANCES, gao(DISTANCES, 1.0, 0.8))
    assert (fit.a, fit.b, fit.r2) == pytest.approx((1.0, 0.8, 1.0))
    assert fit.peak_kl == pytest.approx(math.exp(0.5))


def test_the_peak_is_where_the_curve_is_highest():
    near = np.linspace(0.1, 4, 4000)
    fit = fit_gao(DISTANCES, gao(DISTANCES, 0.7, 0.5))
    assert math.sqrt(fit.peak_kl) == pytest.approx(near[gao(near, 0.7, 0.5).argmax()], abs=1e-3)


def test_a_peak_that_nobody_saw_is_not_named():
    # exp(3) = 20 lies beyond 3; a curve with b < 0 has a trough instead.
    assert fit_gao(DISTANCES, gao(DISTANCES, 2.0, 0.5)).peak_kl is None
    assert fit_gao(DISTANCES, gao(DISTANCES, 1.0, -0.5)).peak_kl is None
    assert fit_gao(DISTANCES, gao(DISTANCES, -2.0, 0.1)).peak_kl is None
    assert fit_gao(DISTANCES, 2 * DISTANCES).peak_kl is None


def test_noise_costs_explained_variance():
    d = np.linspace(0.1, 3, 200)
    noisy = gao(d, 1.0, 0.8) + np.random.default_rng(0).normal(0, 0.05, size=200)
    fit = fit_gao(d, noisy)
    assert (fit.a, fit.b) == pytest.approx((1.0, 0.8), abs=0.03)
    spread = gao(d, 1.0, 0.8).var()
    assert fit.r2 == pytest.approx(spread / (spread + 0.05**2), abs=0.03)


def test_two_distances_are_met_by_any_curve():
    assert fit_gao([0, 1, 2, 2], [0, 1, 1, 1.1]) is None
    assert fit_gao([0, 1, 2, 3, 4], [0, 1, 1, 1, 1]) is None
    assert fit_gao([], []) is None
    assert fit_gao([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]).r2 == 0.0


def test_designs_meet_at_the_largest_kl_that_all_reached():
    assert matched_kl([[0, 4, 9], [0, 2, 1], [0, 7]]) == 2
    assert matched_kl([[0, 4], [0, 0]]) is None
    assert matched_kl([[0, 4], []]) is None
    assert matched_kl([]) is None


def test_a_curve_is_read_linearly_in_the_square_root():
    # From d = 1 to 3, the values 10 to 20: d = 2 lies half-way.
    assert at_matched_kl([[0, 1, 9]], [[0, 10, 20]], 4).tolist() == [15]
    assert at_matched_kl([0, 1, 9], [[0, 10, 20], [0, 30, 50]], 4).tolist() == [15, 40]
    assert at_matched_kl([0, 1, 9], [[5, 10, 20]], 9).tolist() == [20]
    assert at_matched_kl([0, 1, 9], [[5, 10, 20]], 0).tolist() == [5]


def test_the_way_there_counts_not_the_way_back():
    assert at_matched_kl([[0, 4, 1, 4]], [[0, 8, 100, 200]], 1).tolist() == [4]


def test_a_seed_that_never_came_so_far_has_no_value():
    found = at_matched_kl([[0, 1, 2], [0, 4, 16]], [[0, 1, 2], [0, 1, 2]], 4)
    assert np.isnan(found[0])
    assert found[1] == 1


def test_several_values_are_read_at_once():
    values = np.stack([[[0, 0], [10, 1], [20, 3]]])  # (1 seed, 3 looks, 2 prompts)
    assert at_matched_kl([0, 1, 9], values, 4).tolist() == [[15, 2]]


def test_a_kl_estimate_below_zero_is_the_start():
    assert at_matched_kl([[0, -0.01, 1]], [[0, 0, 8]], 0.25).tolist() == [4]
