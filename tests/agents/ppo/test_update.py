"""The switches of TextPPO's update."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from agents.policy.episode_batch import make_batch
from agents.ppo.evaluated_rollout import evaluate_rollout
from agents.ppo.ppo import TextPPO
from agents.ppo.rollout import collect_episodes
from textenv import RewardResult


def weights(agent: TextPPO) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in agent.policy.state_dict().items()}


def metrics_of(agent: TextPPO, iterations: int = 1, **arguments: Any) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = []

    def note(metrics: Any) -> bool:
        rows.append(dict(metrics))
        return len(rows) < iterations

    agent.learn(total_episodes=10**6, after_iteration=note, **arguments)
    return rows


def test_an_adaptive_coefficient_follows_the_divergence(make_agent):
    agent = make_agent(
        kl_target=0.01, kl_coef=0.1, kl_horizon=12, learning_rate=3e-3, critic_warmup=0
    )
    rows = metrics_of(agent, 4)
    # No divergence in the first iteration: a fifth less; then more than the target.
    assert rows[0]["kl/coef"] == pytest.approx(0.1)
    assert rows[1]["kl/coef"] == pytest.approx(0.08)
    assert rows[2]["kl/ref"] != 0.0
    agent.kl_controller.update(100.0, 12)
    assert agent.kl_controller.coef > rows[3]["kl/coef"]


def test_target_kl_ends_the_update_before_it_goes_too_far(make_agent):
    settings = {
        "learning_rate": 3e-2,
        "n_epochs": 8,
        "critic_warmup": 0,
        "normalize_advantage": True,
    }
    free = make_agent(**settings)
    held = make_agent(**settings, target_kl=0.01)
    steps = {}
    for name, agent in {"free": free, "held": held}.items():
        agent.set_random_seed(0)
        taken = []
        agent.policy.optimizer.register_step_post_hook(lambda *_, taken=taken: taken.append(1))
        metrics_of(agent, 1)
        steps[name] = len(taken)
    assert steps["free"] == 8
    assert 1 <= steps["held"] < 8


def test_scaling_rewards_divides_and_never_shifts(make_env, make_agent):
    def far_from_zero(episodes: Any) -> RewardResult:
        return RewardResult(np.array([10.0 + 2.0 * (len(e.input_ids) % 2) for e in episodes]))

    agent = make_agent(
        make_env(reward=far_from_zero), scale_rewards=True, kl_coef=0.0,
        normalize_advantage=False, gamma=1.0, gae_lambda=1.0,
    )  # fmt: skip
    _, callback = agent._setup_learn(1, None)
    agent.collect_rollouts(agent.env, callback)
    returns = np.array([episode.rewards.sum() for episode in agent.episodes])
    batch = make_batch(agent.episodes)
    targets = agent.compute_targets(batch)
    final = targets.returns[torch.arange(len(batch)), batch.lengths - 1].numpy()
    assert final == pytest.approx(returns / returns.std(), rel=1e-2)
    assert (final > 0).all()


@pytest.mark.parametrize("separate_critic", [False, True])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_while_the_critic_warms_up_the_language_model_stays(
    save_model, make_agent, separate_critic, family
):
    """Qwen3's output layer is its embedding."""
    agent = make_agent(
        None, {"model": save_model(family, spread=0.3), "separate_critic": separate_critic},
        critic_warmup=2, learning_rate=1e-2, ent_coef=0.1,
    )  # fmt: skip
    before = weights(agent)
    rows = metrics_of(agent, 2)
    after = weights(agent)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"value_head.weight", "value_head.bias"} <= changed
    assert not {name for name in changed if name.startswith("lm.")}
    assert any(name.startswith("critic.") for name in changed) == separate_critic
    assert rows[1]["kl/ref"] == pytest.approx(0.0, abs=1e-4)
    metrics_of(agent, 1)
    last = weights(agent)
    assert not all(torch.equal(before[name], last[name]) for name in before if "lm." in name)


@pytest.mark.parametrize("separate_critic", [False, True])
def test_an_update_of_the_critic_alone_takes_no_pass_of_the_language_model(
    make_env, make_agent, separate_critic
):
    """The gradient is that of passes, whatever the micro-batches."""
    policy_kwargs = {"separate_critic": separate_critic}
    agent = make_agent(make_env(max_turns=2), policy_kwargs, critic_warmup=2)
    agent._critic_warmup = 2
    agent.policy.value_head.weight.data.normal_()
    batch = make_batch(collect_episodes(agent.env, agent.policy, 12))
    targets = agent.compute_targets(batch)
    rows = torch.tensor([5, 0, 3])
    passes: list[str] = []
    agent.policy.networks.backbone.register_forward_hook(lambda *_: passes.append("language model"))
    found = []
    for kept in (targets, replace(targets, states=None)):
        for max_tokens in (8192, 1):
            options = agent.policy.options.replace(max_tokens_per_batch=max_tokens)
            agent.policy.options = options
            passes.clear()
            stats = agent.accumulate_gradients(batch, kept, rows)
            assert bool(passes) == (kept.states is None and not separate_critic)
            assert stats["ratio"] == 1.0
            assert stats["value_loss"] > 0
            found.append(torch.cat([p.grad.flatten() for p in agent.policy.critic_parameters()]))
            assert all(p.grad is None for p in agent.policy.lm.parameters())
    for gradient in found[1:]:
        torch.testing.assert_close(gradient, found[0], rtol=1e-4, atol=1e-6)


def test_a_separate_critic_shares_no_weight_and_no_gradient(save_model, make_agent):
    agent = make_agent(None, {"separate_critic": True}, critic_warmup=0)
    agent.policy.value_head.weight.data.normal_()
    batch = make_batch(collect_episodes(agent.env, agent.policy, 12))
    outputs = agent.policy.evaluate_sequences(batch)
    outputs.values.sum().backward()
    assert all(p.grad is None for p in agent.policy.lm.parameters())
    assert any(p.grad is not None and p.grad.any() for p in agent.policy.critic.parameters())
    agent.policy.zero_grad()
    outputs = agent.policy.evaluate_sequences(batch)
    outputs.logprobs.sum().backward()
    assert all(p.grad is None for p in agent.policy.critic_parameters())
    memory = {p.data_ptr() for p in agent.policy.lm.parameters()}
    assert not memory & {p.data_ptr() for p in agent.policy.critic.parameters()}
    # Both decode: values while acting are the critic's.
    observation, _ = agent.policy.obs_to_tensor(agent.env.reset())
    _, values, _ = agent.policy.forward(observation)
    assert torch.allclose(values, agent.policy.predict_values(observation), atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_bfloat16_begins_with_ratio_one(save_model, make_agent, family):
    agent = make_agent(
        None, {"model": save_model(family, spread=0.3), "bf16": True}, critic_warmup=0
    )
    rows = metrics_of(agent, 3)
    for row in rows:
        assert row["train/first_ratio"] == pytest.approx(1.0, abs=1e-2)
    assert rows[0]["kl/ref"] == pytest.approx(0.0, abs=1e-2)
    assert all(p.dtype == torch.float32 for p in agent.policy.parameters())


def test_the_entropy_bonus_raises_entropy(make_agent, monkeypatch):
    agent = make_agent(
        ent_coef=1.0, vf_coef=0.0, kl_coef=0.0, learning_rate=1e-3, critic_warmup=0,
        max_grad_norm=1e9,
    )  # fmt: skip
    batch = make_batch(collect_episodes(agent.env, agent.policy, 12))
    targets = agent.compute_targets(batch)
    nothing = type(targets)(
        targets.old_logprobs, targets.values, torch.zeros_like(targets.advantages), targets.returns
    )
    stats = agent.accumulate_gradients(batch, nothing, torch.arange(12))
    before = evaluate_rollout(agent.policy, agent.reference, batch).entropy[batch.action_mask]
    agent.policy.optimizer.step()
    after = evaluate_rollout(agent.policy, agent.reference, batch).entropy[batch.action_mask]
    assert after.mean() > before.mean() + 1e-3
    assert stats["loss"] == pytest.approx(-float(before.mean()), rel=1e-5)
