import numpy as np
import pytest
from scipy.optimize import minimize

from textenv.benchmark.agreement.bradley_terry import win_chances


def test_strengths_maximise_the_likelihood():
    rng = np.random.default_rng(0)
    systems = np.array([rng.choice(4, 2, replace=False) for _ in range(60)])
    preferred = rng.choice([-1.0, 0.0, 1.0], 60, p=[0.3, 0.1, 0.6])
    chances = win_chances(systems, preferred, 4, np.ones((1, 60)))[0]

    def loss(logits):
        ahead = logits[systems[:, 0]] - logits[systems[:, 1]]
        share = (preferred + 1) / 2
        pairs = share * np.logaddexp(0, -ahead) + (1 - share) * np.logaddexp(0, ahead)
        prior = 0.5 * (np.logaddexp(0, -logits) + np.logaddexp(0, logits))
        return pairs.sum() + prior.sum()

    best = minimize(loss, np.zeros(4), tol=1e-12).x
    assert chances == pytest.approx(1 / (1 + np.exp(-best)), abs=1e-4)


def test_a_resample_is_a_set_of_pairs():
    systems = np.array([[0, 1], [1, 2], [0, 2]])
    preferred = np.array([1.0, -1.0, 0.0])
    weights = np.array([[2.0, 0, 1]])
    drawn = np.array([0, 0, 2])
    assert win_chances(systems, preferred, 3, weights) == pytest.approx(
        win_chances(systems[drawn], preferred[drawn], 3, np.ones((1, 3)))
    )


def test_who_always_wins_is_not_certain_to():
    chances = win_chances(np.array([[0, 1]] * 5), np.ones(5), 2, np.ones((1, 5)))[0]
    assert 0.7 < chances[0] < 1
    assert chances[1] == pytest.approx(1 - chances[0], abs=1e-6)
