import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata, spearmanr

from textenv.benchmark.agreement.rank_correlation import (
    kendall_of_resamples,
    spearman_of_resamples,
    without,
)


def draw(seed, n, levels):
    rng = np.random.default_rng(seed)
    x = rng.integers(levels, size=n) / 7
    y = rng.integers(levels, size=n) / 3
    weights = rng.multinomial(n, np.full(n, 1 / n), size=6).astype(float)
    return x, y, weights


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("n", [2, 16, 700])
def test_a_weighted_sample_has_the_correlations_of_the_drawn_one(n, levels):
    x, y, weights = draw(n + levels, n, levels)
    taus, rhos = kendall_of_resamples(x, y, weights), spearman_of_resamples(x, y, weights)
    for row, tau, rho in zip(weights.astype(int), taus, rhos, strict=True):
        places = np.repeat(np.arange(n), row)
        if np.ptp(x[places]) == 0 or np.ptp(y[places]) == 0:
            assert np.isnan(tau)
            assert np.isnan(rho)
            continue
        assert tau == pytest.approx(kendalltau(x[places], y[places]).statistic, abs=1e-5)
        assert rho == pytest.approx(spearmanr(x[places], y[places]).statistic, abs=1e-5)


def test_values_may_differ_between_resamples():
    x, y, weights = draw(3, 12, 5)
    tables = [np.stack([values + k for k in range(6)]) for values in (x, y)]
    for function in (kendall_of_resamples, spearman_of_resamples):
        assert function(*tables, weights) == pytest.approx(function(x, y, weights), nan_ok=True)


def test_partial_correlation_is_that_of_what_regression_on_ranks_leaves():
    rng = np.random.default_rng(0)
    z = rng.normal(size=200)
    x, y = z + rng.normal(size=200), rng.normal(size=200) - 2 * z
    ranks = [rankdata(values) for values in (x, y, z)]
    left = [r - np.polyval(np.polyfit(ranks[2], r, 1), ranks[2]) for r in ranks[:2]]
    pairs = [spearmanr(a, b).statistic for a, b in ((x, y), (x, z), (y, z))]
    assert float(without(*map(np.array, pairs))) == pytest.approx(np.corrcoef(*left)[0, 1])


def test_nothing_is_left_where_length_orders_the_texts():
    assert np.isnan(without(np.array(0.3), np.array(1.0), np.array(0.3)))
