"""Law 17: equal rewards teach nothing, however they are rounded; small differences still do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.policy.episode_batch import make_batch
from agents.ppo.advantages import compute_grpo, compute_rloo, equal_groups, whiten
from agents.ppo.rollout import collect_episodes
from textenv import RewardResult

ESTIMATORS = {
    "gae": {"gae_lambda": 0.9},
    "gae, scaled": {"scale_rewards": True},
    "gae, apart": {"max_grad_norm_critic": 1.0},
    "reinforce++": {},
    "reinforce++, discounted": {"gamma": 1.0, "scale_rewards": True},
    "rloo": {"group_size": 4},
    "grpo": {"group_size": 4},
    "dr_grpo": {"group_size": 4},
    "grpo, by sequence": {"group_size": 4, "loss_aggregation": "sequence"},
}


def pay(value: float) -> Any:
    """Pays a value, which rounding makes a little more or less in half of the episodes."""

    def reward(episodes: Any) -> RewardResult:
        up = np.array([len(e.input_ids) % 2 for e in episodes], np.float64)
        return RewardResult(value * (1.0 + 1e-9 * up))

    return reward


@pytest.mark.parametrize("name", ESTIMATORS)
def test_law_17_equal_rewards_leave_the_weights(make_agent, make_env, name):
    for value in (0.7, 1e6):
        agent = make_agent(
            make_env(reward=pay(value)), advantage=name.split(",")[0], kl_coef=0.0,
            critic_warmup=0, learning_rate=1e-2, learning_rate_warmup=0, **ESTIMATORS[name],
        )  # fmt: skip
        before = {n: p.detach().clone() for n, p in agent.policy.lm.named_parameters()}
        agent.learn(total_episodes=24)
        assert [n for n, p in agent.policy.lm.named_parameters() if not p.equal(before[n])] == []


def test_law_17_an_imperfect_critic_does_not_make_one_text_better_than_another(
    make_agent, make_env
):
    agent = make_agent(make_env(reward=pay(0.7)), kl_coef=0.0, gae_lambda=0.9)
    torch.nn.init.normal_(agent.policy.value_head.weight)
    batch = make_batch(collect_episodes(agent.env, agent.policy, 12))
    assert not agent.compute_targets(batch).advantages.any()
    agent.kl_controller.coef = 0.1
    assert agent.compute_targets(batch).advantages.any()
    # One episode may have been better or worse than the critic thought.
    agent.kl_controller.coef = 0.0
    assert agent.compute_targets(batch.take(torch.tensor([0]))).advantages.any()


@pytest.mark.parametrize("offset", [0.0, 0.7, -3.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e5])
def test_what_differs_is_whitened_to_full_size(offset, size):
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])
    x = (offset + signs * 1e-3) * size
    expected = signs / (4 / 3) ** 0.5
    torch.testing.assert_close(whiten(x, torch.ones(4) > 0), expected, rtol=1e-3, atol=0.0)


def test_a_deviation_within_rounding_is_none():
    everyone = torch.ones(4, dtype=torch.bool)
    x = 0.7 + torch.tensor([1.0, -1.0, 1.0, 0.0]) * 6e-8
    assert x.unique().numel() > 1
    assert not whiten(x, everyone).any()
    # What is left of larger numbers shares their rounding.
    assert whiten(x - 0.7, everyone).any()
    assert not whiten(x - 0.7, everyone, rounding=2e-7).any()
    # A signal of any size is real where it is not rounding.
    torch.testing.assert_close(
        whiten(torch.tensor([1e-12, -1e-12, 1e-12, -1e-12]), everyone).abs(),
        torch.full((4,), 0.75**0.5),
    )


@pytest.mark.parametrize("estimate", [compute_rloo, compute_grpo])
def test_groups_that_differ_by_rounding_alone_are_equal(estimate):
    paid = torch.tensor([[0.7], [0.7 + 6e-8], [0.7], [0.2]])
    groups, written = torch.tensor([0, 0, 1, 1]), torch.ones(4, 1, dtype=torch.bool)
    advantages = estimate(paid, written, groups)
    assert not advantages[:2].any()
    assert advantages[2] == -advantages[3] > 0
    assert equal_groups(paid, groups).tolist() == [True, True, False, False]


@pytest.mark.parametrize("advantage", ["grpo", "dr_grpo", "rloo"])
def test_in_equal_groups_the_gradient_falls_with_the_coefficient(
    save_model, make_agent, make_env, advantage
):
    norms = []
    for coef in (0.1, 0.01, 0.001):
        agent = make_agent(
            make_env(reward=pay(0.7)), advantage=advantage, group_size=4, kl_coef=coef,
            reference=save_model(spread=0.02),
        )  # fmt: skip
        batch = make_batch(collect_episodes(agent.env, agent.policy, 12, group_size=4))
        agent.accumulate_gradients(batch, agent.compute_targets(batch), torch.arange(12))
        grads = [p.grad.flatten() for p in agent.policy.parameters() if p.grad is not None]
        norms.append(float(torch.cat(grads).norm()))
    assert norms[0] > 0.01
    assert norms[1:] == pytest.approx([norms[0] / 10, norms[0] / 100], rel=1e-3)


def test_grpo_divides_the_tasks_reward_and_not_the_penalty():
    # Returns 1, 3: mean 2, deviation sqrt 2. Penalties 0.5, 0.1: mean 0.3.
    paid, penalties = torch.tensor([[1.0, 0.0], [1.0, 2.0]]), torch.tensor([[0.5, 0], [0.2, -0.1]])
    written, groups = torch.ones(2, 2, dtype=torch.bool), torch.zeros(2, dtype=torch.long)
    expected = torch.tensor([-1 / (2**0.5 + 1e-4) - 0.2, 1 / (2**0.5 + 1e-4) + 0.2])
    found = compute_grpo(paid, written, groups, penalties=penalties)
    torch.testing.assert_close(found, expected[:, None].expand(2, 2))
    # rloo: 1 - 3 less 0.5 - 0.1, and the reverse.
    found = compute_rloo(paid, written, groups, penalties)
    torch.testing.assert_close(found[:, 0], torch.tensor([-2.4, 2.4]))
