"""TextPPO: what it accepts and refuses, its callbacks, its update's switches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

from agents.ppo.buffer import make_batch
from agents.ppo.ppo import TextPPO
from agents.ppo.rollout import collect_episodes
from agents.ppo.targets import evaluate_rollout
from agents.ppo.vec_env import TextVecEnv
from textenv import ConfigError, ModelError, RewardResult, TextEnvError


def weights(agent: TextPPO) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in agent.policy.state_dict().items()}


def metrics_of(agent: TextPPO, iterations: int = 1, **arguments: Any) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = []

    def note(metrics: Any) -> bool:
        rows.append(dict(metrics))
        return len(rows) < iterations

    agent.learn(total_episodes=10**6, after_iteration=note, **arguments)
    return rows


def rollout(agent: TextPPO, n: int = 12) -> Any:
    episodes = collect_episodes(agent.env, agent.policy, n, lambda *_: True)
    assert episodes is not None
    return make_batch(episodes)


# What it accepts.


@pytest.mark.parametrize("kind", ["id", "make_vec", "make", "make_vec_env"])
def test_every_way_to_an_environment_gives_whole_episodes(save_model, kind):
    """With the embedded tokenizer and a registered environment."""
    id = "TextQA-v0"
    env: Any = {
        "id": lambda: id,
        "make_vec": lambda: gym.make_vec(id, num_envs=4),
        "make": lambda: gym.make(id),
        "make_vec_env": lambda: make_vec_env(id, n_envs=4),
    }[kind]()
    agent = TextPPO(
        "LMPolicy", env, n_episodes=6, n_envs=4, batch_size=3, n_epochs=1, device="cpu", seed=1,
        policy_kwargs={"model": save_model(tokenizer="embedded")},
    )  # fmt: skip
    agent.learn(total_episodes=6)
    assert agent.n_episodes_done == len(agent.episodes) == 6
    assert agent.num_timesteps == sum(int(e.action_mask.sum()) for e in agent.episodes)
    for episode in agent.episodes:
        written = np.flatnonzero(episode.action_mask)
        # One turn: all that follows the prompt, up to its end or the budget of 8.
        assert written.tolist() == list(range(written[0], len(episode.input_ids)))
        assert written[0] > 5
        ended = episode.input_ids[-1] == 2
        assert len(written) <= 8
        assert ended or len(written) == 8
        assert not episode.rewards[:-1].any()
        assert not episode.truncated


def test_n_steps_counts_tokens_and_n_episodes_rules_without_it(make_env, make_agent):
    # Six tokens at most in each of two turns, four slots: 48 tokens a slot are 16 episodes.
    assert make_agent(make_env(max_turns=2), n_steps=48, n_episodes=3).n_episodes == 16
    assert make_agent(make_env(), n_steps=48).n_episodes == 32
    assert make_agent(make_env(), n_steps=1).n_episodes == 1
    assert make_agent(make_env(), n_episodes=3).n_episodes == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_episodes": 0}, "n_episodes=.* is not valid"),
        ({"batch_size": 0}, "batch_size=.* is not valid"),
        ({"n_epochs": 0}, "n_epochs=.* is not valid"),
        ({"n_steps": 0}, "n_steps=.* is not valid"),
        ({"n_envs": 0}, "n_envs=.* is not valid"),
        ({"kl_coef": -0.1}, "kl_coef=.* is not valid"),
        ({"kl_target": -1.0}, "greater than 0"),
        ({"kl_target": 1.0, "kl_coef": 0.0}, "above 0"),
        ({"critic_warmup": -1}, "critic_warmup=.* is not valid"),
        ({"value_lr_factor": -1.0}, "value_lr_factor=.* is not valid"),
        ({"use_sde": True}, "use_sde"),
        ({"rollout_buffer_class": object}, "buffer of its own"),
        ({"policy_kwargs": {"temperature": 0.0}}, "temperature=.* is not valid"),
        ({"policy_kwargs": {"temprature": 1.0}}, "temperature"),
        ({"policy": "MlpPolicy"}, "LMPolicy"),
    ],
)
def test_an_argument_that_means_nothing_is_refused(save_model, make_env, arguments, words):
    policy = arguments.pop("policy", "LMPolicy")
    policy_kwargs = {"model": save_model(), **arguments.pop("policy_kwargs", {})}
    with pytest.raises(TextEnvError, match=words):
        TextPPO(policy, make_env(), policy_kwargs=policy_kwargs, device="cpu", **arguments)


def test_an_environment_that_speaks_no_tokens_is_refused(save_model):
    policy_kwargs = {"model": save_model()}
    with pytest.raises(ConfigError, match="shows text as tokens"):
        TextPPO("LMPolicy", gym.make("CartPole-v1"), policy_kwargs=policy_kwargs, device="cpu")
    with pytest.raises(ConfigError, match="shows text as tokens"):
        TextPPO(
            "LMPolicy", gym.make("CartPole-v1"), n_steps=64, policy_kwargs=policy_kwargs,
            device="cpu",
        )  # fmt: skip


@pytest.mark.parametrize("make", [gym.make, gym.make_vec], ids=["single", "vector"])
@pytest.mark.parametrize("level", ["select", "text"])
def test_other_action_levels_are_refused_with_what_to_do(make_agent, level, make):
    env = make("TextQAChoice-v0", action_level=level)
    for n_steps in (None, 64):
        with pytest.raises(ConfigError, match=f'{level} level. Make it with action_level="token"'):
            make_agent(env, n_steps=n_steps)
    agent = make_agent()
    with pytest.raises(ConfigError, match=f'{level} level. Make it with action_level="token"'):
        agent.set_env(env)


def test_a_wrapped_vector_environment_is_refused_in_words(make_env, save_model):
    wrapped = gym.wrappers.vector.RecordEpisodeStatistics(make_env())
    with pytest.raises(ConfigError, match=r"make_vec"):
        TextPPO("LMPolicy", wrapped, policy_kwargs={"model": save_model()}, device="cpu")


def test_a_model_of_another_tokenizer_is_refused(make_env, save_model, make_agent):
    env = make_env(tokenizer="embedded", max_prompt_tokens=64)
    with pytest.raises(ModelError, match="4096"):
        make_agent(env)
    agent = make_agent(env, {"model": save_model(tokenizer="embedded")}, reference=save_model())
    with pytest.raises(ModelError, match="4096"):
        agent.learn(total_episodes=12)
    assert agent.num_timesteps == 0


def test_learn_takes_one_budget(make_agent):
    agent = make_agent()
    for budgets in ({}, {"total_timesteps": 10, "total_episodes": 10}):
        with pytest.raises(ConfigError, match="either"):
            agent.learn(**budgets)
    assert agent.learn(total_timesteps=0).n_episodes_done == 0


# Running.


def test_equal_seeds_give_equal_weights(make_env, make_agent):
    first, second, other = (
        make_agent(make_env(), seed=seed, critic_warmup=0, learning_rate=1e-2) for seed in (7, 7, 8)
    )
    # One after the other: SB3 seeds torch globally when an agent is made.
    results = []
    for agent in (first, second, other):
        agent.set_random_seed(agent.seed)
        agent.learn(total_episodes=36)
        results.append(weights(agent))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert not all(torch.equal(results[0][name], results[2][name]) for name in results[0])


def test_learning_goes_on_where_it_stopped(make_agent):
    agent = make_agent(n_episodes=6)
    agent.learn(total_episodes=12)
    tokens = agent.num_timesteps
    agent.learn(total_episodes=6, reset_num_timesteps=False)
    assert agent.n_episodes_done == 18
    assert agent.num_timesteps > tokens
    assert agent.n_iterations == 3
    agent.learn(total_timesteps=40, reset_num_timesteps=False)
    tokens, done = agent.num_timesteps, agent.n_episodes_done
    assert done > 18
    agent.learn(total_episodes=6)
    assert agent.n_episodes_done == 6
    assert agent.num_timesteps < tokens


def test_time_is_a_budget_too(make_agent, monkeypatch):
    agent = make_agent(
        learning_rate=1e-3, learning_rate_end=0.1, learning_rate_warmup=0, critic_warmup=0
    )
    now = 100.0

    def clock() -> float:
        nonlocal now
        now += 1e-6
        return now

    def wait(metrics: Any) -> bool:
        nonlocal now
        now += 10.0
        rates.append(metrics["train/learning_rate"])
        return True

    rates: list[float] = []
    monkeypatch.setattr("agents.ppo.budget.time.perf_counter", clock)
    agent.learn(total_episodes=10**6, max_seconds=45.0, after_iteration=wait)
    # A fifth iteration would end after 50 seconds.
    assert rates == pytest.approx([1e-3 * (1 - 0.9 * s / 45) for s in (0, 10, 20, 30)], rel=1e-3)


def test_the_learning_rate_falls_with_the_budget_and_the_critics_is_higher(make_agent):
    agent = make_agent(
        learning_rate=1e-3, learning_rate_end=0.0, learning_rate_warmup=0, critic_warmup=0,
        value_lr_factor=5.0,
    )  # fmt: skip
    seen = []

    def note(metrics: Any) -> bool:
        seen.append([metrics["train/learning_rate"]])
        seen[-1] += [group["lr"] for group in agent.policy.optimizer.param_groups]
        return True

    agent.learn(total_episodes=48, after_iteration=note)
    rates = [1e-3, 7.5e-4, 5e-4, 2.5e-4]
    assert np.array(seen) == pytest.approx(np.array([[rate, rate, 5 * rate] for rate in rates]))


def test_sb3s_callbacks_work(make_env, make_agent, tmp_path):
    agent = make_agent()
    evaluating = EvalCallback(
        TextVecEnv(make_env(2)), n_eval_episodes=4, eval_freq=10, verbose=0,
        best_model_save_path=str(tmp_path / "best"), log_path=str(tmp_path),
    )  # fmt: skip
    saving = CheckpointCallback(save_freq=10, save_path=str(tmp_path / "saved"))
    agent.learn(total_episodes=36, callback=[evaluating, saving])
    assert len(evaluating.evaluations_results) > 1
    assert np.shape(evaluating.evaluations_results)[1] == 4
    assert TextPPO.load(tmp_path / "best" / "best_model", device="cpu").num_timesteps > 0
    saved = sorted((tmp_path / "saved").iterdir())
    assert saved
    assert TextPPO.load(saved[0], device="cpu").policy.vocab_size == 20


def test_training_stops_after_a_number_of_episodes(make_env, make_agent):
    """Slots that have nothing left to do end no episode."""
    callback = StopTrainingOnMaxEpisodes(max_episodes=5)  # of each of eight slots: 40 in all
    agent = make_agent(make_env(8), n_episodes=12)
    agent.learn(total_episodes=1000, callback=callback)
    # Several may end in the step that stops; slots at rest would have ended many more.
    assert 40 <= callback.n_episodes < 48
    assert agent.n_episodes_done == 36


class Seen(BaseCallback):
    """Notes what SB3 promises to a callback."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = 0
        self.events: list[str] = []

    def _on_training_start(self) -> None:
        self.events.append("training_start")

    def _on_rollout_start(self) -> None:
        self.events.append("rollout_start")

    def _on_step(self) -> bool:
        self.ended += sum("episode" in info for info in self.locals["infos"])
        assert self.locals["dones"].sum() == sum("episode" in i for i in self.locals["infos"])
        assert self.locals["rewards"].shape == self.locals["dones"].shape
        return True

    def _on_rollout_end(self) -> None:
        self.events.append("rollout_end")

    def _on_training_end(self) -> None:
        self.events.append("training_end")


@pytest.mark.parametrize("n_envs", [1, 5])
def test_callbacks_see_only_slots_in_play(save_model, n_envs):
    env = make_vec_env("TextQA-v0", n_envs=n_envs)
    agent = TextPPO(
        "LMPolicy", env, n_episodes=6, batch_size=6, device="cpu", seed=0,
        policy_kwargs={"model": save_model(tokenizer="embedded")},
    )  # fmt: skip
    seen = Seen()
    agent.learn(total_episodes=12, callback=seen)
    assert seen.ended == agent.n_episodes_done == 12
    assert len(agent.ep_info_buffer) == 12
    assert seen.events == [
        "training_start", *["rollout_start", "rollout_end"] * 2, "training_end",
    ]  # fmt: skip


def test_a_callback_that_stops_leaves_the_agent_usable(make_env, make_agent):
    agent = make_agent()
    stop = EvalCallback(
        TextVecEnv(make_env(2)), n_eval_episodes=2, eval_freq=3, verbose=0,
        callback_on_new_best=StopTrainingOnRewardThreshold(-1.0),
    )  # fmt: skip
    agent.learn(total_episodes=120, callback=stop)
    assert agent.n_episodes_done == 0
    agent.learn(total_episodes=12)
    assert agent.n_episodes_done == 12


def test_sb3s_evaluate_policy_takes_the_agent(make_env, make_agent):
    agent = make_agent(make_env(reward=lambda es: RewardResult(np.full(len(es), 0.5))))
    rewards, lengths = evaluate_policy(
        agent, agent.env, n_eval_episodes=7, return_episode_rewards=True, deterministic=False
    )
    assert rewards == [0.5] * 7
    assert all(1 <= length <= 6 for length in lengths)


def test_logging_can_be_off_and_carry_words(make_agent):
    class Words(BaseCallback):
        def _on_step(self) -> bool:
            self.logger.record("note", "words")
            return True

    agent = make_agent()
    rows = metrics_of(agent, 2, log_interval=None, callback=Words())
    assert "note" not in rows[1]
    assert rows[1]["time/tokens_per_s"] > 0


# The update.


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
    batch = rollout(agent)
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
    batch = rollout(agent)
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
    batch = rollout(agent)
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


def test_the_reference_is_no_part_of_the_policy_and_stays(make_agent):
    agent = make_agent(learning_rate=1e-2, critic_warmup=0)
    before = {k: v.clone() for k, v in agent.reference.model.state_dict().items()}
    metrics_of(agent, 2)
    assert all(torch.equal(before[k], v) for k, v in agent.reference.model.state_dict().items())
    owned = {p.data_ptr() for p in agent.policy.parameters()}
    assert not owned & {p.data_ptr() for p in agent.reference.model.parameters()}
    assert all(not p.requires_grad for p in agent.reference.model.parameters())


def test_another_model_may_be_the_reference(save_model, make_agent):
    agent = make_agent(reference=save_model(spread=0.02))
    (row,) = metrics_of(agent, 1)
    assert row["kl/ref"] > 0.1


def test_the_penalty_is_taken_off_each_token(save_model, make_agent):
    agent = make_agent(
        reference=save_model(spread=0.02), kl_coef=0.5, gamma=1.0, gae_lambda=1.0,
        normalize_advantage=False,
    )  # fmt: skip
    batch = rollout(agent)
    targets = agent.compute_targets(batch)
    with torch.no_grad():
        log_ratio = agent.policy.evaluate_sequences(batch).logprobs - agent.reference.logprobs(
            batch
        )
    penalties = torch.zeros_like(batch.rewards)
    penalties[batch.action_mask] = 0.5 * log_ratio
    # Values start at zero: the return of a row's first token is all that is still to come.
    for row in range(len(batch)):
        first = int(batch.action_mask[row].nonzero()[0])
        wanted = batch.rewards[row].sum() - penalties[row].sum()
        assert float(targets.returns[row, first]) == pytest.approx(float(wanted), abs=1e-4)
