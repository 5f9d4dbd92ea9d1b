"""Agents train on what an OpenEnv server plays, and leave out episodes in which it failed."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO

from agents import LMPolicy, TextPPO, TextVecEnv, evaluate_policy_on_split

SMALL = {"max_turns": 1, "max_new_tokens": 4, "reconnect_s": 0.0}


@pytest.fixture
def make(server):
    """Makes vector environments that are closed at the end."""
    made = []

    def make_one(n=4, **arguments):
        arguments = {"url": server.url, **SMALL, **arguments}
        made.append(gym.make_vec("textenv:OpenEnv-v0", num_envs=n, **arguments))
        return made[-1]

    yield make_one
    for env in made:
        env.close()


def test_text_ppo_trains_and_counts_the_episodes_in_which_the_server_failed(server, make, on_step):
    agent = TextPPO(
        "LMPolicy", make(), n_episodes=8, batch_size=8, seed=0, device="cpu", max_invalid_share=0.5
    )
    on_step(server, "hang up", at=3)
    found = []
    agent.learn(total_episodes=16, after_iteration=lambda metrics: found.append(metrics) or True)
    assert [metrics["rollout/invalid_episodes"] for metrics in found] == [1, 0]
    assert np.isfinite(found[0]["rollout/reward_mean"])
    paid = [episode for episode in agent.episodes if episode.invalid_reason is None]
    assert {episode.reward for episode in paid} <= {-0.25, 1.0}


def test_a_rollout_whose_server_is_gone_ends_the_training_in_words(server, make):
    agent = TextPPO("LMPolicy", make(), n_episodes=8, seed=0, device="cpu")
    server.misbehave = lambda kind, data: "hang up" if kind == "step" else None
    with pytest.raises(Exception, match="The OpenEnv server at http://127"):
        agent.learn(total_episodes=8)


def test_groups_play_the_same_episode_of_the_server(make):
    agent = TextPPO(
        "LMPolicy", make(), advantage="grpo", group_size=4, n_episodes=8, seed=0, device="cpu"
    )
    agent.learn(total_episodes=8)
    openings: dict[int, set[bytes]] = {}
    for episode in agent.episodes:
        prompt = episode.input_ids[: episode.n_prompt].tobytes()
        openings.setdefault(episode.group, set()).add(prompt)
    assert sorted(openings) == [0, 1]
    assert all(len(prompts) == 1 for prompts in openings.values())


def test_stock_ppo_trains_on_tokens_too(make):
    agent = PPO(
        LMPolicy,
        TextVecEnv(make()),
        policy_kwargs={"model": "embedded"},
        n_steps=8,
        batch_size=16,
        n_epochs=1,
        device="cpu",
    )
    agent.learn(32)
    found = evaluate_policy_on_split(agent.policy, make().unwrapped.core, "test", 4)
    assert found.rewards.shape == (4,)
    assert "rouge1" not in found.metrics
