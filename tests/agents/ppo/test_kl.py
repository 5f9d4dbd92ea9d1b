"""Estimators of the divergence agree with its definition; controllers follow their formula."""

from __future__ import annotations

import pytest
import torch

from agents.ppo.kl import KLController, k1, k3, kl_penalty

P = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
Q = torch.tensor([0.4, 0.4, 0.2], dtype=torch.float64)


def test_k1_and_k3_have_the_divergence_as_their_mean() -> None:
    expected = torch.nn.functional.kl_div(Q.log(), P, reduction="sum")
    for estimator in (k1, k3):
        torch.testing.assert_close((P * estimator(P.log(), Q.log())).sum(), expected)


def test_estimators_by_hand() -> None:
    # p = 1/2, q = 1/4: log p - log q = ln 2 = 0.693147, r = q / p = 1/2.
    logprobs, other = torch.tensor([0.5]).log(), torch.tensor([0.25]).log()
    torch.testing.assert_close(k1(logprobs, other), torch.tensor([0.693147]))
    torch.testing.assert_close(k3(logprobs, other), torch.tensor([0.193147]))


def test_as_losses_k1_and_k3_do_not_have_the_divergences_gradient() -> None:
    def gradient(loss_of: object) -> torch.Tensor:
        logits = P.log().clone().requires_grad_()
        logprobs = torch.log_softmax(logits, dim=0)
        (found,) = torch.autograd.grad(loss_of(logprobs), logits)  # type: ignore[operator] # any function of a tensor
        return found

    exact = gradient(lambda lp: (lp.exp() * (lp - Q.log())).sum())
    sampled = {e: gradient(lambda lp, e=e: (P * e(lp, Q.log())).sum()) for e in (k1, k3)}
    assert not torch.allclose(sampled[k1], exact)
    assert not torch.allclose(sampled[k3], exact)


def test_k3_is_never_negative_however_small_the_difference() -> None:
    logprobs = -torch.rand(1000, generator=torch.Generator().manual_seed(0))
    noise = 1e-5 * torch.randn(1000, generator=torch.Generator().manual_seed(1))
    assert (k3(logprobs, logprobs + noise) >= 0).all()


def test_the_penalty_is_signed_per_token_and_carries_no_gradient() -> None:
    logprobs = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    penalty = kl_penalty(logprobs, torch.tensor([[-1.5, -1.0]]))
    torch.testing.assert_close(penalty, torch.tensor([[0.5, -1.0]]))
    assert not penalty.requires_grad


@pytest.mark.parametrize(
    ("kl", "expected"),
    [
        (6.6, 0.1 * 1.01),  # a tenth too far: 1 + 0.1 * 100 / 1000
        (12.0, 0.1 * 1.02),  # twice too far counts as a fifth
        (5.4, 0.1 * 0.99),
        (0.0, 0.1 * 0.98),
        (6.0, 0.1),
    ],
)
def test_the_adaptive_coefficient_follows_its_formula(kl: float, expected: float) -> None:
    controller = KLController(coef=0.1, target=6.0, horizon=1000)
    controller.update(kl, n_episodes=100)
    assert controller.coef == pytest.approx(expected)


def test_the_coefficient_stays_positive_however_many_episodes_come_at_once() -> None:
    controller = KLController(coef=0.1, target=6.0, horizon=10)
    controller.update(0.0, n_episodes=1000)
    assert controller.coef == pytest.approx(0.08)


def test_a_fixed_coefficient_does_not_move() -> None:
    controller = KLController(0.05, None, 1000)
    controller.update(100.0, n_episodes=64)
    assert controller.coef == 0.05


def test_controllers_resume_from_their_plain_state() -> None:
    before = KLController(0.1, 6.0, 1000)
    before.update(9.0, 64)
    after = KLController(0.1, 6.0, 1000)
    after.load_state_dict(before.state_dict())
    assert before.state_dict() == after.state_dict() == {"coef": before.coef}
    assert type(before.state_dict()["coef"]) is float
