"""The laws of the design that concern the agent, end to end."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.logger import Logger

import agents.ppo.collector
import agents.ppo.update
from agents.policy.episode_batch import make_batch
from agents.policy.sequences import TokenOutputs
from agents.ppo.rollout import collect_episodes
from textenv import RewardResult
from textenv.rollout import PlayedEpisode


def collect(agent: Any, n: int | None = None) -> Any:
    episodes = collect_episodes(agent.env, agent.policy, n or agent.n_episodes, lambda *_: True)
    assert episodes is not None
    return make_batch(episodes)


def flat_gradient(agent: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in agent.policy.parameters() if p.grad is not None])


def relative_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


# Law 5


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
@pytest.mark.parametrize("max_turns", [1, 3])
@pytest.mark.parametrize("sampler", ["act", "forward"])
def test_law_5_sampling_equals_teacher_forcing(
    save_model, make_env, make_agent, family, max_turns, sampler
):
    """With a temperature, rows of the head that are no token, and dialogue."""
    model = save_model(family, spread=0.3, extra_rows=13)
    env = make_env(max_turns=max_turns)
    agent = make_agent(env, {"model": model, "temperature": 0.7}, n_episodes=10)
    policy = agent.policy

    def act_by_forward(ids, lengths, rows, deterministic=False):
        mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int8)
        observation = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        actions, _, logprobs = policy.forward(observation)
        return actions.numpy(), logprobs.numpy()

    if sampler == "forward":
        policy.act = act_by_forward
    # All slots play throughout, since SB3's `forward` knows no others.
    batch = collect(agent, n=4)
    with torch.no_grad():
        outputs = policy.evaluate_sequences(batch)
    sampled = batch.logprobs
    assert (sampled[batch.action_mask] < 0).all()
    assert not sampled[~batch.action_mask].any()
    torch.testing.assert_close(sampled[batch.action_mask], outputs.logprobs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3"])
def test_law_5_before_the_first_update_ratio_is_one_and_kl_zero(
    save_model, make_env, make_agent, family
):
    model = save_model(family, spread=0.3, extra_rows=13)
    agent = make_agent(
        make_env(max_turns=2), {"model": model, "temperature": 0.7}, learning_rate=1e-2
    )
    batch = collect(agent)
    targets = agent.compute_targets(batch)
    outputs = agent.policy.evaluate_sequences(batch)
    ratio = (outputs.logprobs - targets.old_logprobs[batch.action_mask]).exp()
    assert (ratio - 1).abs().max() < 1e-4
    with torch.no_grad():
        assert torch.allclose(agent.reference.logprobs(batch), outputs.logprobs, atol=1e-5)
    recorded = {}
    agent.learn(total_episodes=1, after_iteration=lambda metrics: recorded.update(metrics) or True)
    assert recorded["train/first_ratio"] == pytest.approx(1.0, abs=1e-4)
    assert recorded["kl/ref"] == pytest.approx(0.0, abs=1e-4)


def test_law_5_rows_that_are_no_token_are_never_sampled(save_model, make_env, make_agent):
    agent = make_agent(make_env(), {"model": save_model(spread=0.3, extra_rows=500)})
    batch = collect(agent, 40)
    vocab_size = agent.policy.vocab_size
    assert int(batch.input_ids.max()) < vocab_size == 20
    observation = {
        "input_ids": batch.input_ids[:, :5],
        "attention_mask": torch.ones_like(batch.input_ids[:, :5]),
    }
    probabilities = agent.policy.get_distribution(observation).distribution.probs
    assert probabilities.shape == (40, vocab_size)
    each = [
        agent.policy.evaluate_actions(observation, torch.full((40,), a))[1].exp()
        for a in range(vocab_size)
    ]
    assert torch.allclose(torch.stack(each).sum(0), torch.ones(40), atol=1e-5)


# Law 6


def constant_critic(agent: Any, value: float) -> None:
    with torch.no_grad():
        agent.policy.value_head.weight.zero_()
        agent.policy.value_head.bias.fill_(value)


def test_law_6_nothing_is_bootstrapped_on_a_finished_episode(make_env, make_agent):
    def one(episodes: Any) -> RewardResult:
        return RewardResult(np.ones(len(episodes)))

    agent = make_agent(
        make_env(reward=one), gamma=1.0, kl_coef=0.0, normalize_advantage=False, gae_lambda=0.9
    )
    constant_critic(agent, 5.0)
    batch = collect(agent)
    assert batch.rewards.sum(dim=1) == pytest.approx(torch.ones(12))
    targets = agent.compute_targets(batch)
    for row in range(12):
        written = batch.action_mask[row].nonzero()[:, 0]
        last = written[-1]
        assert int(last) == int(batch.lengths[row]) - 1
        assert float(batch.rewards[row, last]) == 1.0
        # delta is 1 - 5 at the end and 5 - 5 before it.
        wanted = [-4.0 * 0.9**k for k in range(len(written))][::-1]
        assert targets.advantages[row, written].tolist() == pytest.approx(wanted, abs=1e-4)
        assert float(targets.returns[row, last]) == pytest.approx(1.0, abs=1e-5)


def test_law_6_an_episode_that_was_cut_off_goes_on_with_its_last_value(make_env, make_agent):
    agent = make_agent(
        make_env(max_episode_steps=2), kl_coef=0.0, normalize_advantage=False, gamma=1.0
    )
    constant_critic(agent, 5.0)
    batch = collect(agent, 30)
    lengths = batch.action_mask.sum(1)
    assert int(lengths.max()) == 2
    cut = batch.truncated
    assert cut.any()
    # Two tokens, the second of which did not end the turn.
    last = batch.input_ids[torch.arange(30), batch.lengths - 1]
    assert torch.equal(cut, (lengths == 2) & (last != 2))
    returns = agent.compute_targets(batch).returns
    final = returns[torch.arange(30), batch.lengths - 1]
    assert final[cut] == pytest.approx(torch.full((int(cut.sum()),), 5.0), abs=1e-5)
    paid = batch.rewards.sum(1)
    assert final[~cut] == pytest.approx(paid[~cut], abs=1e-5)


# Law 7


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_law_7_the_sequence_update_is_sb3s_update_per_token(
    save_model, make_env, make_agent, normalize, family
):
    """SB3's own buffer and `train`, stopped before its optimizer steps."""
    settings = {
        "gamma": 0.97, "gae_lambda": 0.9, "ent_coef": 0.03, "vf_coef": 0.7, "n_epochs": 1,
        "normalize_advantage": normalize, "max_grad_norm": 1e9,
    }  # fmt: skip
    policy_kwargs = {"model": save_model(family, spread=0.3), "temperature": 0.8}
    agent = make_agent(
        make_env(max_turns=2), policy_kwargs, kl_coef=0.0, critic_warmup=0, **settings
    )
    torch.nn.init.normal_(agent.policy.value_head.weight)
    batch = collect(agent, 8)
    batch = dataclasses.replace(
        batch, rewards=torch.where(batch.action_mask, torch.randn(batch.rewards.shape), 0.0)
    )
    targets = agent.compute_targets(batch)
    # An old policy that differs from the present one, so that some ratios are clipped.
    noise = torch.where(batch.action_mask, 0.3 * torch.randn(batch.rewards.shape), 0.0)
    targets = type(targets)(
        targets.old_logprobs + noise, targets.values, targets.advantages, targets.returns
    )
    stats = agent.accumulate_gradients(batch, targets, torch.arange(8))
    ours = flat_gradient(agent)

    n_tokens = int(batch.action_mask.sum())
    stock = PPO(
        type(agent.policy), agent.env, n_steps=n_tokens, batch_size=n_tokens, device="cpu",
        policy_kwargs=policy_kwargs, **settings,
    )  # fmt: skip
    stock.policy.load_state_dict(agent.policy.state_dict())
    stock.rollout_buffer = sb3_buffer(stock, batch, targets.old_logprobs, n_tokens)
    taken: list[torch.Tensor] = []

    def step() -> None:
        taken.append(
            torch.cat([p.grad.flatten() for p in stock.policy.parameters() if p.grad is not None])
        )

    stock.policy.optimizer.step = step
    stock.set_logger(Logger(None, []))
    stock.train()
    assert stats["loss"] == pytest.approx(stock.logger.name_to_value["train/loss"], rel=1e-4)
    assert stats["clip_fraction"] == pytest.approx(
        stock.logger.name_to_value["train/clip_fraction"], abs=1e-6
    )
    assert 0.1 < stats["clip_fraction"] < 0.9
    assert stats["approx_kl"] == pytest.approx(
        stock.logger.name_to_value["train/approx_kl"], rel=1e-3
    )
    assert relative_difference(ours, taken[0]) < 1e-4


def sb3_buffer(stock: Any, batch: Any, old_logprobs: torch.Tensor, n_tokens: int) -> Any:
    """Fills SB3's buffer with the transitions of whole episodes, one after the other."""
    buffer = DictRolloutBuffer(
        n_tokens, stock.observation_space, stock.action_space, "cpu",
        gae_lambda=stock.gae_lambda, gamma=stock.gamma, n_envs=1,
    )  # fmt: skip
    window = stock.observation_space["input_ids"].shape[0]
    for row in range(len(batch)):
        for i, column in enumerate(batch.action_mask[row].nonzero()[:, 0].tolist()):
            ids = np.zeros((1, window), np.int32)
            ids[0, :column] = batch.input_ids[row, :column]
            mask = np.zeros((1, window), np.int8)
            mask[0, :column] = 1
            observation = {
                "input_ids": ids, "attention_mask": mask, "remaining": np.ones((1, 1), np.int32),
            }  # fmt: skip
            with torch.no_grad():
                tensors = {key: torch.from_numpy(value) for key, value in observation.items()}
                value = stock.policy.predict_values(tensors)
            buffer.add(
                observation,
                batch.input_ids[row, column].view(1, 1).numpy(),
                batch.rewards[row, column].view(1).numpy(),
                np.array([i == 0]),
                value.flatten(),
                old_logprobs[row, column].view(1),
            )
    buffer.compute_returns_and_advantage(torch.zeros(1), np.array([True]))
    return buffer


# Law 8


def test_law_8_micro_batches_order_and_padding_leave_the_gradient(make_env, make_agent):
    agent = make_agent(make_env(max_turns=2), kl_coef=0.1, ent_coef=0.02, critic_warmup=0)
    batch = collect(agent, 12)
    assert len(set(batch.lengths.tolist())) > 3
    targets = agent.compute_targets(batch)
    rows = torch.arange(12)
    reference_stats = agent.accumulate_gradients(batch, targets, rows)
    wanted = flat_gradient(agent)

    for max_tokens in (1, 40, 100):
        agent.policy.options = agent.policy.options.replace(max_tokens_per_batch=max_tokens)
        stats = agent.accumulate_gradients(batch, targets, rows)
        assert relative_difference(flat_gradient(agent), wanted) < 1e-4
        assert stats == pytest.approx(reference_stats, rel=1e-4, abs=1e-6)
    agent.policy.options = agent.policy.options.replace(max_tokens_per_batch=8192)

    order = torch.randperm(12)
    agent.accumulate_gradients(batch, targets, order)
    assert relative_difference(flat_gradient(agent), wanted) < 1e-4

    def padded(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(x, (0, 9), value=0)

    wider = dataclasses.replace(
        batch,
        input_ids=padded(batch.input_ids),
        action_mask=padded(batch.action_mask),
        rewards=padded(batch.rewards),
    )
    filler = torch.arange(wider.input_ids.shape[1]) >= wider.lengths[:, None]
    wider.input_ids[filler] = 7
    parts = (targets.old_logprobs, targets.values, targets.advantages, targets.returns)
    wider_targets = type(targets)(*(padded(tensor) for tensor in parts))
    agent.accumulate_gradients(wider, wider_targets, rows)
    assert relative_difference(flat_gradient(agent), wanted) < 1e-4


# Law 9


def test_law_9_the_environments_tokens_leave_advantages_alone(make_agent, monkeypatch):
    agent = make_agent(
        gamma=0.9, gae_lambda=0.8, kl_coef=0.2, normalize_advantage=False, n_episodes=2
    )
    generator = torch.Generator().manual_seed(3)
    faked = torch.randn(3, 8, generator=generator)  # logprobs, ref logprobs, values: 8 tokens

    def outputs(part: Any, with_entropy: bool) -> TokenOutputs:
        n = int(part.action_mask.sum())
        assert n == 8
        states = torch.zeros(n, 1)
        return TokenOutputs(faked[0], faked[2], states, torch.ones(n), torch.ones(2))

    monkeypatch.setattr(agent.policy, "evaluate_sequences", outputs)
    monkeypatch.setattr(type(agent.reference), "logprobs", lambda self, part: faked[1])

    def advantages(inserted: list[int]) -> torch.Tensor:
        """Of two episodes of four tokens, with so many foreign tokens before each."""
        episodes = []
        for reward in (1.0, -2.0):
            mask = [False, False]
            for count in inserted:
                mask += [False] * count + [True]
            rewards = np.zeros(len(mask), np.float32)
            rewards[-1] = reward
            ids = np.arange(len(mask), dtype=np.int32) % 20
            episodes.append(PlayedEpisode(ids, np.array(mask), rewards))
        batch = make_batch(episodes)
        targets = agent.compute_targets(batch)
        assert not targets.advantages[~batch.action_mask].any()
        return targets.advantages[batch.action_mask]

    plain = advantages([0, 0, 0, 0])
    assert plain.abs().sum() > 1
    assert torch.allclose(advantages([0, 3, 0, 5]), plain)
    assert torch.allclose(advantages([2, 1, 1, 1]), plain)


# Law 10


def learning_curve(agent: Any, iterations: int = 25) -> tuple[float, float]:
    """Returns the mean reward of the first and of the last three iterations."""
    rewards: list[float] = []

    def note(metrics: Any) -> bool:
        rewards.append(metrics["rollout/reward_mean"])
        return len(rewards) < iterations

    agent.learn(total_episodes=10**9, after_iteration=note)
    return float(np.mean(rewards[:3])), float(np.mean(rewards[-3:]))


LEARNING = {
    "n_episodes": 64, "batch_size": 64, "n_epochs": 2, "learning_rate": 1e-2, "kl_coef": 0.01,
    "critic_warmup": 0,
}  # fmt: skip


@pytest.fixture
def learner(save_model, make_env, make_agent):
    env = make_env(32, max_new_tokens=4)
    return make_agent(env, {"model": save_model(spread=0.02)}, **LEARNING)


def test_law_10_ppo_learns(learner):
    before, after = learning_curve(learner)
    assert after > 0.8
    assert after - before > 0.5


def test_law_10_without_its_losses_nothing_is_learned(learner, monkeypatch):
    """Also no part of the update changes weights behind the losses' back."""
    true_policy_loss, true_value_loss = agents.ppo.update.policy_loss, agents.ppo.update.value_loss

    def no_policy_loss(*args, **kwargs):
        losses, stats = true_policy_loss(*args, **kwargs)
        return 0.0 * losses, stats

    monkeypatch.setattr(agents.ppo.update, "policy_loss", no_policy_loss)
    monkeypatch.setattr(
        agents.ppo.update,
        "value_loss",
        lambda *args, **kwargs: 0.0 * true_value_loss(*args, **kwargs),
    )
    before_weights = copy.deepcopy(learner.policy.state_dict())
    before, after = learning_curve(learner, 12)
    assert abs(after - before) < 0.15
    for name, tensor in learner.policy.state_dict().items():
        # The value's constant starts at the mean return; that is no learning.
        if name != "value_head.bias":
            assert torch.equal(tensor, before_weights[name]), name


def test_law_10_from_shuffled_rewards_nothing_is_learned(learner, monkeypatch):
    true_collect = agents.ppo.collector.collect_episodes
    rng = np.random.default_rng(0)

    def shuffled(*args):
        episodes = true_collect(*args)
        totals = rng.permutation([episode.rewards.sum() for episode in episodes])
        for episode, total in zip(episodes, totals, strict=True):
            episode.rewards[-1] = total
        return episodes

    monkeypatch.setattr(agents.ppo.collector, "collect_episodes", shuffled)
    before, after = learning_curve(learner)
    assert after < 0.6
    assert after - before < 0.3
