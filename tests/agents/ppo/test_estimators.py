"""Advantages without a critic inside TextPPO: groups are complete, and each learns."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import agents.ppo.targets
import agents.ppo.update
import agents.training.run
from agents.ppo.advantages import compute_rloo
from agents.ppo.options import PPOOptions
from agents.ppo.ppo import TextPPO
from agents.ppo.rollout import collect_episodes
from agents.training.config import train_config
from textenv.errors import ConfigError

LEARNING = {
    "n_episodes": 64, "batch_size": 64, "n_epochs": 2, "learning_rate": 1e-2, "kl_coef": 0.01,
}  # fmt: skip
ADVANTAGES = ("rloo", "grpo", "dr_grpo", "reinforce++")
CHANGED = {
    "advantage": "dr_grpo", "group_size": 2, "dual_clip": 2.5, "clip_range_high": 0.31,
    "importance_cap": 1.7,
}  # fmt: skip


@pytest.fixture
def make_learner(save_model, make_env, make_agent):
    def make(advantage, **changes):
        env = make_env(32, max_new_tokens=4)
        settings = {**LEARNING, "advantage": advantage, "group_size": 4, **changes}
        return make_agent(env, {"model": save_model(spread=0.02)}, **settings)

    return make


def learning_curve(agent, iterations=16):
    rewards = []

    def note(metrics):
        rewards.append(metrics["rollout/reward_mean"])
        return len(rewards) < iterations

    agent.learn(total_episodes=10**9, after_iteration=note)
    return np.mean(rewards[:2]), np.mean(rewards[-2:])


def test_every_prompt_has_exactly_its_group_whatever_the_lengths(make_agent, make_env):
    agent = make_agent(make_env(6), n_episodes=24, group_size=3, advantage="rloo")
    episodes = collect_episodes(agent.env, agent.policy, 24, lambda *_: True, 3)
    assert len({len(e.input_ids) for e in episodes}) > 1
    assert [sum(e.group == g for e in episodes) for g in range(8)] == [3] * 8
    for group in range(8):
        prompts = {
            tuple(e.input_ids[: e.action_mask.argmax()]) for e in episodes if e.group == group
        }
        assert len(prompts) == 1


def test_groups_stay_complete_where_one_slot_is_always_slow(make_agent, make_env):
    """The first slot of each group writes six tokens while its neighbours write one."""
    agent = make_agent(make_env(6), n_episodes=24, group_size=3, advantage="rloo")
    tokens_of, end = np.zeros(6, int), 2

    def act(ids, lengths, rows, deterministic=False):
        tokens_of[rows] += 1
        ends = tokens_of[rows] == np.where(rows % 3 == 0, 6, 1)
        tokens_of[rows[ends]] = 0
        return np.where(ends, end, 7), np.zeros(len(rows), np.float32)

    agent.policy.act = act
    episodes = collect_episodes(agent.env, agent.policy, 24, lambda *_: True, 3)
    for group in range(8):
        members = [e for e in episodes if e.group == group]
        assert sorted(int(e.action_mask.sum()) for e in members) == [1, 1, 6]
        assert len({tuple(e.input_ids[: e.action_mask.argmax()]) for e in members}) == 1
    prompts = {tuple(e.input_ids[: e.action_mask.argmax()]) for e in episodes}
    assert len(prompts) > 4


@pytest.mark.parametrize("advantage", ADVANTAGES)
def test_each_estimator_learns_and_leaves_the_critic_alone(make_learner, advantage):
    agent = make_learner(advantage)
    before, after = learning_curve(agent)
    assert after > 0.8
    assert after - before > 0.5
    assert not agent.policy.value_head.weight.any()
    assert not agent.policy.value_head.bias.any()


def test_from_zero_advantages_nothing_is_learned(make_learner, monkeypatch):
    monkeypatch.setattr(agents.ppo.targets, "compute_rloo", lambda *a: 0.0 * compute_rloo(*a))
    agent = make_learner("rloo")
    before_weights = {n: t.clone() for n, t in agent.policy.state_dict().items()}
    learning_curve(agent, 3)
    for name, tensor in agent.policy.state_dict().items():
        assert torch.equal(tensor, before_weights[name]), name


def test_clip_bounds_reach_the_loss(make_learner, monkeypatch):
    seen, true_loss = [], agents.ppo.update.policy_loss

    def note(*args, **kwargs):
        seen.append(args[3])
        return true_loss(*args, **kwargs)

    monkeypatch.setattr(agents.ppo.update, "policy_loss", note)
    learning_curve(make_learner("rloo", clip_range_high=0.3, dual_clip=3.0), 1)
    assert (seen[0].clip_range, seen[0].clip_range_high, seen[0].dual_clip) == (0.2, 0.3, 3.0)


def test_options_come_back_from_a_folder_and_may_be_changed(make_agent, make_env, tmp_path):
    agent = make_agent(**CHANGED)
    agent.save(tmp_path / "agent")
    loaded = TextPPO.load(tmp_path / "agent", env=make_env(), device="cpu")
    for name, value in CHANGED.items():
        assert getattr(loaded.options, name) == value != getattr(PPOOptions(), name), name
    other = TextPPO.load(tmp_path / "agent", device="cpu", advantage="rloo", dual_clip=None)
    assert (other.options.advantage, other.options.dual_clip, other.options.group_size) == (
        "rloo",
        None,
        2,
    )
    saved = json.loads((tmp_path / "agent" / "agent.json").read_text(encoding="utf-8"))
    assert CHANGED.items() <= saved["options"].items()


def test_options_reach_the_agent_from_a_configuration():
    config = train_config({"id": "TextSummarize-v0", "n_episodes": 4, "n_envs": 4, **CHANGED})
    agent = agents.training.run.make_agent(config, {})
    assert {name: getattr(agent.options, name) for name in CHANGED} == CHANGED


def test_what_does_not_fit_is_said_in_words(make_learner):
    with pytest.raises(ConfigError, match="set group_size to 2 or more"):
        make_learner("grpo", group_size=1)
    with pytest.raises(ConfigError, match="n_episodes = 62 does not divide into groups of 4"):
        make_learner("rloo", n_episodes=62)
    with pytest.raises(ConfigError, match="n_envs = 32 does not divide into groups of 3"):
        make_learner("rloo", n_episodes=63, group_size=3)
    with pytest.raises(
        ConfigError, match=r"dual_clip=0\.5 is not valid: it should be greater than 1"
    ):
        make_learner("rloo", dual_clip=0.5)
    with pytest.raises(
        ConfigError, match="advantage='rlo' is not valid: it should be 'gae', 'rloo'"
    ):
        make_learner("rlo")
