"""Each estimator ends in the optimum that is known, under the KL penalty."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.bandit import ESTIMATORS, LEFT, inverse_deviation, optimum, play

REFERENCE = [0.1, 0.1, 0.0, 0.2, 0.2, 0.1, 0.1, 0.2]


def test_the_optimum_by_hand() -> None:
    # 0.1 becomes 0.1 e^2, and all is divided by 0.9 + 0.1 e^2.
    found = optimum(REFERENCE, beta=0.5)
    assert found[LEFT] == pytest.approx(0.1 * np.e**2 / (0.9 + 0.1 * np.e**2))
    assert found[0] == pytest.approx(0.1 / (0.9 + 0.1 * np.e**2))


def test_the_deviation_of_groups_by_hand() -> None:
    # Of two, only 0, 1 has a deviation, sqrt(1 / 2); large groups have that of their mean.
    assert inverse_deviation(0.3, 2) == pytest.approx(2**0.5, rel=1e-3)
    assert inverse_deviation(0.3, 400) == pytest.approx((0.3 * 0.7) ** -0.5, rel=1e-2)
    found = optimum(REFERENCE, beta=1.0, group_size=8)
    p = found[LEFT]
    tilt = np.log(p / (1 - p)) - np.log(0.1 / 0.9)
    assert tilt == pytest.approx(inverse_deviation(p, 8), rel=1e-6)


def test_the_expected_gradient_of_grpo_is_zero_there() -> None:
    """By simulation, with the estimator itself."""
    import torch

    from agents.ppo.advantages import compute_grpo

    wanted = optimum(REFERENCE, beta=1.0, group_size=8)
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.choice(8, size=400_000, p=wanted))
    paid = (tokens == LEFT).double()[:, None]
    ratios = np.log(np.where(wanted > 0, wanted, 1.0)) - np.log(np.where(wanted > 0, REFERENCE, 1))
    penalties = torch.from_numpy(ratios)[tokens][:, None]
    groups = torch.arange(50_000).repeat_interleave(8)
    everyone = torch.ones(400_000, 1, dtype=torch.bool)
    advantages = compute_grpo(paid, everyone, groups, penalties=penalties)[:, 0]
    score = (tokens == LEFT).double() - wanted[LEFT]
    assert float((advantages * score).mean()) == pytest.approx(0.0, abs=2e-3)
    without = compute_grpo(paid, everyone, groups)[:, 0]
    assert float((without * score).mean()) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("advantage", ESTIMATORS)
def test_each_estimator_ends_in_its_optimum(advantage, tmp_path) -> None:
    found = play(advantage, tmp_path, iterations=40)
    assert abs(found["optimum"] - found["reference"]) > 0.15
    assert found["total_variation"] < 0.03
