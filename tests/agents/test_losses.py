"""The losses of PPO equal numbers worked by hand and the plain computation."""

from __future__ import annotations

import math

import pytest
import torch

from agents.losses import entropy_from_logits, policy_loss, token_logprobs, value_loss


def test_the_clipped_loss_by_hand_for_both_signs_of_the_advantage() -> None:
    # clip range 0.2. A > 0 gains nothing above 1.2; A < 0 nothing below 0.8; the other two sides
    # stay unclipped, because there the policy got worse.
    ratio = torch.tensor([1.1, 1.5, 0.5, 0.9, 1.5, 0.5])
    advantages = torch.tensor([2.0, 2.0, 2.0, -2.0, -2.0, -2.0])
    logprobs = ratio.log().requires_grad_()
    losses, stats = policy_loss(logprobs, torch.zeros(6), advantages, clip_range=0.2)
    torch.testing.assert_close(losses, torch.tensor([-2.2, -2.4, -1.0, 1.8, 3.0, 1.6]))
    (gradient,) = torch.autograd.grad(losses.sum(), logprobs)
    # d(-r A) / d log p = -r A where unclipped, 0 where clipped.
    torch.testing.assert_close(gradient, torch.tensor([-2.2, 0.0, -1.0, 1.8, 3.0, 0.0]))
    assert stats.clipped == 4
    torch.testing.assert_close(stats.ratio, torch.tensor(6.0))


def test_divergences_of_old_and_new_policy_by_hand() -> None:
    # r = 2: k1 = -ln 2, k3 = 1 - ln 2. r = 1/4: k1 = ln 4, k3 = -3/4 + ln 4.
    logprobs = torch.tensor([2.0, 0.25]).log()
    _, stats = policy_loss(logprobs, torch.zeros(2), torch.ones(2), clip_range=0.2)
    torch.testing.assert_close(stats.k1, torch.tensor(math.log(2)))
    torch.testing.assert_close(stats.k3, torch.tensor(0.25 + math.log(2)))


def test_before_the_first_update_the_ratio_is_one_and_nothing_is_clipped() -> None:
    logprobs = -torch.rand(5, generator=torch.Generator().manual_seed(0))
    advantages = torch.arange(5.0)
    losses, stats = policy_loss(logprobs, logprobs, advantages, clip_range=0.0)
    assert torch.equal(losses, -advantages)
    assert (stats.clipped, stats.k1, stats.k3, stats.ratio) == (0, 0, 0, 5)


def test_extreme_log_ratios_stay_finite() -> None:
    logprobs = torch.tensor([200.0, -200.0], requires_grad=True)
    losses, stats = policy_loss(logprobs, torch.zeros(2), -torch.ones(2), clip_range=0.2)
    assert losses[0].item() == pytest.approx(math.exp(20), rel=1e-5)
    losses.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.isfinite().all()
    assert stats.k3.isfinite()


def test_value_loss_by_hand() -> None:
    values = torch.tensor([1.0, 1.0, 0.1])
    old_values, returns = torch.zeros(3), torch.tensor([2.0, 0.0, 1.0])
    torch.testing.assert_close(
        value_loss(values, old_values, returns), torch.tensor([1.0, 1.0, 0.81])
    )
    # Held at 0.2: (0.2 - 2)^2 = 3.24 is larger; (0.2 - 0)^2 is smaller; 0.1 is inside the range.
    torch.testing.assert_close(
        value_loss(values, old_values, returns, clip_range_vf=0.2),
        torch.tensor([3.24, 1.0, 0.81]),
    )


def test_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0, -torch.inf, -torch.inf], [5.0, 5.0, 5.0, 5.0]])
    torch.testing.assert_close(
        entropy_from_logits(logits), torch.tensor([math.log(2), math.log(4)])
    )


@pytest.mark.parametrize("chunk_size", [3, 4, 100])
@pytest.mark.parametrize("with_entropy", [False, True])
def test_chunked_logprobs_and_their_gradients_equal_the_plain_computation(
    chunk_size: int, with_entropy: bool
) -> None:
    rng = torch.Generator().manual_seed(0)
    head = torch.nn.Linear(6, 11)
    hidden = torch.randn(8, 6, generator=rng)
    targets = torch.randint(0, 9, (8,), generator=rng)
    weights = torch.randn(8, generator=rng)

    def gradients(chunked: bool) -> list[torch.Tensor]:
        states = hidden.clone().requires_grad_()
        if chunked:
            logprobs, entropy = token_logprobs(
                head,
                states,
                targets,
                9,
                temperature=0.7,
                chunk_size=chunk_size,
                with_entropy=with_entropy,
            )
            assert (entropy is not None) == with_entropy
        else:
            # The head has 11 rows, the tokenizer 9 ids.
            full = torch.distributions.Categorical(logits=head(states)[:, :9] / 0.7)
            logprobs, entropy = full.log_prob(targets), full.entropy()
        loss = logprobs @ weights
        if with_entropy and entropy is not None:
            loss = loss + entropy @ weights.flip(0)
        found = torch.autograd.grad(loss, [states, *head.parameters()])
        return [logprobs.detach(), loss.detach(), *found]

    for chunked, plain in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(chunked, plain)


def test_logits_live_for_one_chunk_at_a_time() -> None:
    head = torch.nn.Linear(4, 7)
    seen: list[int] = []
    head.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    hidden, targets = torch.randn(10, 4, requires_grad=True), torch.zeros(10, dtype=torch.long)
    logprobs, _ = token_logprobs(head, hidden, targets, 7, chunk_size=4)
    assert seen == [4, 4, 2]
    logprobs.sum().backward()
    assert sorted(seen) == [2, 2, 4, 4, 4, 4]  # computed again, not kept
    seen.clear()
    token_logprobs(head, hidden, targets, 7, chunk_size=10)[0].sum().backward()
    assert seen == [10]
    token_logprobs(head, hidden[:0], targets[:0], 7)


def test_logprobs_are_float32_under_autocast() -> None:
    head = torch.nn.Linear(4, 7)
    hidden, targets = torch.randn(3, 4), torch.tensor([0, 1, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logprobs, entropy = token_logprobs(head, hidden, targets, 7, with_entropy=True)
    assert entropy is not None
    assert logprobs.dtype == entropy.dtype == torch.float32
