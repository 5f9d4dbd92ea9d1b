"""Intervals of shares: against published values, the likelihood by brute force, and chance."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binom

from textenv import ConfigError, estimate_gain, estimate_mean
from textenv.benchmark.proportions import clopper_pearson, tango

Z2 = 1.959963984540054**2


@pytest.mark.parametrize(
    ("successes", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 20), (1, 256), (255, 256)]
)
def test_each_end_of_an_exact_interval_is_where_the_sample_becomes_a_rarity(successes, n):
    low, high = clopper_pearson(successes, n)
    # By the definition: at either end what was seen, or more extreme, has a chance of 2.5 %.
    assert (low == 0) if successes == 0 else binom.sf(successes - 1, n, low) == pytest.approx(0.025)
    assert (high == 1) if successes == n else binom.cdf(successes, n, high) == pytest.approx(0.025)


def test_twenty_of_twenty_is_the_rule_of_three():
    assert clopper_pearson(20, 20) == pytest.approx((0.025 ** (1 / 20), 1.0))


def likeliest_excess(gained: int, lost: int, n: int, d: float) -> float:
    """Returns the score statistic of d less its bound, the nuisance found by search."""

    def surprise(q: float) -> float:
        parts = ((gained, q + d), (lost, q), (n - gained - lost, 1 - 2 * q - d))
        return -sum(count * log(max(p, 1e-300)) for count, p in parts if count)

    bounds = (max(0.0, -d), (1 - d) / 2)
    q = minimize_scalar(surprise, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return float((gained - lost - n * d) ** 2 - Z2 * n * (2 * q + d - d * d))


@pytest.mark.parametrize(
    ("gained", "lost", "n"), [(12, 2, 50), (3, 0, 20), (0, 5, 9), (40, 40, 99)]
)
def test_a_paired_interval_ends_where_the_score_test_rejects(gained, lost, n):
    low, high = tango(gained, lost, n)
    middle = (gained - lost) / n
    ends = [
        brentq(lambda d: likeliest_excess(gained, lost, n, d), *bracket)
        for bracket in ((-0.99, middle), (middle, 0.99))
    ]
    assert (low, high) == pytest.approx(ends, abs=1e-6)


@pytest.mark.parametrize(
    ("gained", "lost", "n", "ends"),
    [
        # All gained: n (1 - d) = z^2 (1 + d). None changed: d = z^2 / (n + z^2).
        (20, 0, 20, ((20 - Z2) / (20 + Z2), 1.0)),
        (0, 20, 20, (-1.0, -(20 - Z2) / (20 + Z2))),
        (0, 0, 20, (-Z2 / (20 + Z2), Z2 / (20 + Z2))),
    ],
)
def test_pairs_that_all_agree_leave_a_doubt(gained, lost, n, ends):
    assert tango(gained, lost, n) == pytest.approx(ends)


def test_the_paired_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for p_gained, p_lost, n in ((0.02, 0.0, 20), (0.5, 0.1, 20), (0.1, 0.1, 60)):
        drawn = rng.multinomial(n, (p_gained, p_lost, 1 - p_gained - p_lost), size=600)
        intervals = [tango(int(gained), int(lost), n) for gained, lost, _ in drawn]
        hits = np.mean([low <= p_gained - p_lost <= high for low, high in intervals])
        assert hits > 0.92, (p_gained, p_lost, n)


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([1.0] * 20, clopper_pearson(20, 20)),
        ([0.0] * 20, clopper_pearson(0, 20)),
        ([1.0] * 7 + [0.0] * 13, clopper_pearson(7, 20)),
        # Other bounds: the share of the upper one, between them.
        ([1.0] * 7 + [-1.0] * 13, [2 * end - 1 for end in clopper_pearson(7, 20)]),
        ([2.0] * 7 + [0.0] * 13, [2 * end for end in clopper_pearson(7, 20)]),
        # Weights add up to 1 with an error of the last digit.
        ([0.1 + 0.7 + 0.2] * 10 + [1.0] * 10, clopper_pearson(20, 20)),
        # Equal scores: a share of up to 1 - 0.025^(1/20) may lie at either bound.
        ([0.7] * 20, (0.7 * 0.025**0.05, 1 - 0.3 * 0.025**0.05)),
        ([-1.0] * 20, (-1.0, 1 - 2 * 0.025**0.05)),
        ([32.0] * 20, (32 * 0.025**0.05, 32.0)),
        ([0.6], (0.6 * 0.025, 1 - 0.4 * 0.025)),
    ],
)
def test_scores_of_one_or_two_values_have_exact_intervals(values, ends):
    found = estimate_mean(values)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.ci95 == pytest.approx(tuple(ends))


@pytest.mark.parametrize(
    ("after", "before", "ends"),
    [
        ([1.0] * 20, [0.0] * 20, tango(20, 0, 20)),
        ([1.0] * 20, [1.0] * 20, tango(0, 0, 20)),
        ([1, 1, 0, 1], [0, 1, 1, 0], tango(2, 1, 4)),
        # Graded scores that nothing changed: as before, within -1 to 1.
        ([0.5] * 20, [0.5] * 20, (0.025**0.05 - 1, 1 - 0.025**0.05)),
    ],
)
def test_gains_are_paired_and_never_certain(after, before, ends):
    found = estimate_gain(after, before)
    assert found.mean == pytest.approx(np.mean(after) - np.mean(before))
    assert found.ci95 == pytest.approx(ends)


def test_the_exact_interval_holds_the_mean_of_graded_scores_that_are_rarely_between():
    rng = np.random.default_rng(1)
    # 0.97 at 1, the rest uniform: of 20 often all are 1, and a bootstrap would say [1, 1].
    truth, hits = 0.97 + 0.03 * 0.5, 0
    for i in range(300):
        scores = np.where(rng.random(20) < 0.97, 1.0, rng.random(20))
        low, high = estimate_mean(scores, seed=i, resamples=400).ci95
        hits += low <= truth <= high
    assert hits / 300 > 0.9


def test_clusters_are_drawn_whole():
    """Half of the prompts always pass, with 16 samples each: 12 prompts, not 192 answers."""
    per_prompt = np.repeat([1.0, 0.0], 6)
    assert estimate_mean(per_prompt).ci95 == pytest.approx(clopper_pearson(6, 12))
    rng = np.random.default_rng(2)
    hits = pooled_hits = 0
    for i in range(300):
        chances = rng.beta(0.5, 0.5, size=30)
        passed = rng.random((30, 16)) < chances[:, None]
        for_prompts = estimate_mean(passed.mean(axis=1), seed=i, resamples=400).ci95
        pooled = clopper_pearson(int(passed.sum()), passed.size)
        hits += for_prompts[0] <= 0.5 <= for_prompts[1]
        pooled_hits += pooled[0] <= 0.5 <= pooled[1]
    assert hits / 300 > 0.9
    assert pooled_hits / 300 < 0.6


def test_nothing_to_average_is_said():
    with pytest.raises(ConfigError, match="no scores"):
        estimate_mean([])
    with pytest.raises(ConfigError, match="no scores"):
        estimate_gain([], [])
    with pytest.raises(ConfigError, match="two scores of each example"):
        estimate_gain([1.0, 0.0], [1.0])
