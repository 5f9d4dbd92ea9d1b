"""The losses of PPO equal numbers worked by hand and the plain computation."""

from __future__ import annotations

import math

import pytest
import torch

from agents.ppo.losses import policy_loss, truncated_importance_weights, value_loss
from agents.ppo.options import PPOOptions


def test_the_clipped_loss_by_hand_for_both_signs_of_the_advantage() -> None:
    # clip range 0.2. A > 0 gains nothing above 1.2; A < 0 nothing below 0.8; the other two sides
    # stay unclipped, because there the policy got worse.
    ratio = torch.tensor([1.1, 1.5, 0.5, 0.9, 1.5, 0.5])
    advantages = torch.tensor([2.0, 2.0, 2.0, -2.0, -2.0, -2.0])
    logprobs = ratio.log().requires_grad_()
    losses, stats = policy_loss(logprobs, torch.zeros(6), advantages, PPOOptions())
    torch.testing.assert_close(losses, torch.tensor([-2.2, -2.4, -1.0, 1.8, 3.0, 1.6]))
    (gradient,) = torch.autograd.grad(losses.sum(), logprobs)
    # d(-r A) / d log p = -r A where unclipped, 0 where clipped.
    torch.testing.assert_close(gradient, torch.tensor([-2.2, 0.0, -1.0, 1.8, 3.0, 0.0]))
    assert (int(stats.clipped_high), int(stats.clipped_low)) == (2, 2)
    assert stats.ratio_max == 1.5
    torch.testing.assert_close(stats.ratio, torch.tensor(6.0))


def test_divergences_of_old_and_new_policy_by_hand() -> None:
    # r = 2: k1 = -ln 2, k3 = 1 - ln 2. r = 1/4: k1 = ln 4, k3 = -3/4 + ln 4.
    logprobs = torch.tensor([2.0, 0.25]).log()
    _, stats = policy_loss(logprobs, torch.zeros(2), torch.ones(2), PPOOptions())
    torch.testing.assert_close(stats.k1, torch.tensor(math.log(2)))
    torch.testing.assert_close(stats.k3, torch.tensor(0.25 + math.log(2)))


def test_before_the_first_update_the_ratio_is_one_and_nothing_is_clipped() -> None:
    logprobs = -torch.rand(5, generator=torch.Generator().manual_seed(0))
    advantages = torch.arange(5.0)
    losses, stats = policy_loss(logprobs, logprobs, advantages, PPOOptions())
    assert torch.equal(losses, -advantages)
    assert (stats.clipped_high, stats.clipped_low, stats.k1, stats.k3) == (0, 0, 0, 0)
    assert (stats.ratio, stats.ratio_max) == (5, 1)


def test_extreme_log_ratios_stay_finite() -> None:
    logprobs = torch.tensor([200.0, -200.0], requires_grad=True)
    losses, stats = policy_loss(logprobs, torch.zeros(2), -torch.ones(2), PPOOptions())
    assert losses[0].item() == pytest.approx(math.exp(20), rel=1e-5)
    losses.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.isfinite().all()
    assert stats.k3.isfinite()


def test_value_loss_by_hand() -> None:
    values = torch.tensor([1.0, 1.0, 0.1])
    old_values, returns = torch.zeros(3), torch.tensor([2.0, 0.0, 1.0])
    torch.testing.assert_close(
        value_loss(values, old_values, returns, PPOOptions()), torch.tensor([1.0, 1.0, 0.81])
    )
    # Held at 0.2: (0.2 - 2)^2 = 3.24 is larger; (0.2 - 0)^2 is smaller; 0.1 is inside the range.
    torch.testing.assert_close(
        value_loss(values, old_values, returns, PPOOptions(clip_range_vf=0.2)),
        torch.tensor([3.24, 1.0, 0.81]),
    )


def test_a_dual_clip_holds_the_loss_of_negative_advantages_and_no_other() -> None:
    logprobs = torch.tensor([5.0, 2.0, 5.0, 0.5]).log()
    advantages = torch.tensor([-2.0, -2.0, 2.0, -2.0])
    losses, _ = policy_loss(logprobs, torch.zeros(4), advantages, PPOOptions(dual_clip=3.0))
    # 5 * 2 is held at 3 * 2; 2 * 2 is below it; 1.2 * 2 and 0.8 * 2 are the ordinary clip.
    torch.testing.assert_close(losses, torch.tensor([6.0, 4.0, -2.4, 1.6]))


def test_the_upper_clip_may_stand_further_out_than_the_lower() -> None:
    logprobs = torch.tensor([1.25, 1.5, 0.75]).log()
    losses, stats = policy_loss(
        logprobs,
        torch.zeros(3),
        torch.tensor([1.0, 1.0, -1.0]),
        PPOOptions(clip_range_high=0.3),
    )
    torch.testing.assert_close(losses, torch.tensor([-1.25, -1.3, 0.8]))
    assert (int(stats.clipped_high), int(stats.clipped_low)) == (1, 1)


def test_importance_weights_are_truncated_and_carry_no_gradient() -> None:
    old = torch.tensor([0.5, 0.4, 0.1]).log().requires_grad_()
    weights = truncated_importance_weights(old, torch.tensor([0.25, 0.1, 0.2]).log(), cap=3.0)
    torch.testing.assert_close(weights, torch.tensor([2.0, 3.0, 0.5]))
    logprobs = torch.zeros(3, requires_grad=True)
    losses, _ = policy_loss(logprobs, torch.zeros(3), torch.ones(3), PPOOptions(), weights)
    losses.sum().backward()
    torch.testing.assert_close(logprobs.grad, -weights)
