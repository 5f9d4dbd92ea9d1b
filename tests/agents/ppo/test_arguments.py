"""What TextPPO takes, and what it refuses in words."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_util import make_vec_env

from agents.ppo.ppo import TextPPO
from textenv import ConfigError, ModelError, TextEnvError


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
