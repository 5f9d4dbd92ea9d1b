"""Evaluation plays the first examples of a split, in order, and scores them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.training.held_out import (
    evaluate_policy_on_split,
    evaluate_random,
    evaluate_speaker,
    kl_per_episode,
    load_policy,
)
from agents.training.speakers import speak_lead_sentence
from textenv import ConfigError, RewardResult


def length_reward(episodes: Any) -> RewardResult:
    lengths = np.array([float(e.action_mask.sum()) for e in episodes])
    return RewardResult(lengths, {"half": lengths / 2})


@pytest.fixture
def policy(make_agent):
    return make_agent().policy


@pytest.mark.parametrize("split", ["train", "test"])
def test_examples_come_in_order_and_once(make_agent, make_env, split):
    core = make_env(4, reward=length_reward, max_turns=2).core
    n = min(9, len(core.dataset(split)))
    assert n > 3
    torch.manual_seed(0)
    policy = make_agent(make_env(max_turns=2)).policy
    result = evaluate_policy_on_split(policy, core, split, n, deterministic=False)
    wanted = [core.dataset(split)[i].id for i in range(n)]
    assert [episode.example.id for episode in result.episodes] == wanted
    lengths = [int(episode.action_mask.sum()) for episode in result.episodes]
    assert len(set(lengths)) > 1
    assert result.rewards.tolist() == lengths
    assert result.metrics["half"].tolist() == [n / 2 for n in lengths]
    assert result.metrics["response_tokens"].tolist() == lengths
    assert set(result.metrics["ended_by_agent"]) <= {0.0, 1.0}
    assert result.metrics["ended_by_agent"].tolist() == [
        float(episode.input_ids[-1] == 2) for episode in result.episodes
    ]


@pytest.mark.parametrize("n_slots", [1, 3, 50])
def test_greedy_play_is_the_same_for_any_number_of_slots(policy, make_env, n_slots):
    one = evaluate_policy_on_split(policy, make_env(2).core, "train", 10)
    other = evaluate_policy_on_split(policy, make_env(n_slots).core, "train", 10)
    for a, b in zip(one.episodes, other.episodes, strict=True):
        assert a.input_ids.tolist() == b.input_ids.tolist()
    assert one.rewards.tolist() == other.rewards.tolist()
    assert one.summary() == other.summary()


def test_a_split_with_fewer_examples_is_played_whole(policy, make_env):
    core = make_env(4).core
    seen = []
    result = evaluate_policy_on_split(
        policy, core, "validation", 10**6, progress=lambda done, note: seen.append(done)
    )
    assert len(result.episodes) == len(core.dataset("validation")) == seen[-1]
    assert result.summary()["examples"] == len(result.episodes)


def test_a_policy_made_for_less_is_refused(policy, make_env):
    with pytest.raises(ConfigError, match="22"):
        evaluate_policy_on_split(policy, make_env(max_turns=2).core, "test", 3)
    with pytest.raises(ConfigError, match="4096"):
        evaluate_policy_on_split(policy, make_env(tokenizer="embedded").core, "test", 3)


def test_training_in_the_same_slots_is_not_disturbed(make_env, make_agent):
    env = make_env(4)
    agent = make_agent(env)
    agent.learn(total_episodes=12)
    evaluate_policy_on_split(agent.policy, env.core, "test", 3)
    agent.learn(total_episodes=12)
    assert len(agent.episodes) == 12


def test_ideal_random_and_repeating_agents_are_measures(make_env):
    core = make_env(4, max_turns=1).core
    gold = evaluate_speaker(core.task.gold, core, "train", 12)
    reds = [float("red" in episode.example.references) for episode in gold.episodes]
    assert gold.rewards.tolist() == reds
    assert gold.metrics["exact_match"].tolist() == [1.0] * 12
    first, again, other = (evaluate_random(core, "train", 12, seed=s) for s in (0, 0, 1))
    assert first.rewards.tolist() == again.rewards.tolist()
    texts = [[e.response for e in result.episodes] for result in (first, again, other)]
    assert texts[0] == texts[1] != texts[2]
    assert first.metrics["token_f1"].mean() < 0.5
    repeating = evaluate_speaker(speak_lead_sentence, core, "train", 12)
    # A prompt is "say red one ...": it holds the answer, and other words.
    assert repeating.rewards.tolist() == reds
    assert not repeating.metrics["exact_match"].any()


def test_the_divergence_is_zero_at_home_and_positive_abroad(save_model, make_env, make_agent):
    core = make_env(8).core
    home = make_agent()
    abroad = make_agent(reference=save_model(spread=0.02))
    torch.manual_seed(0)
    played = evaluate_policy_on_split(home.policy, core, "train", 40, deterministic=False)
    at_home = kl_per_episode(home.policy, home.reference, played.episodes)
    np.testing.assert_allclose(at_home, np.zeros(40), atol=1e-4)
    found = kl_per_episode(abroad.policy, abroad.reference, played.episodes)
    assert found.mean() > 0.1
    # Micro-batches change nothing.
    abroad.policy.options = abroad.policy.options.replace(max_tokens_per_batch=30)
    again = kl_per_episode(abroad.policy, abroad.reference, played.episodes)
    np.testing.assert_allclose(again, found, rtol=1e-4, atol=1e-4)


def offered(core, episode):
    return core.task.candidates(episode.example, episode.turns[: episode.n_opening])


@pytest.mark.parametrize("n_slots", [1, 5])
def test_a_policy_chooses_what_its_distribution_favours(make_choice_env, save_model, n_slots):
    core = make_choice_env(n_slots).core
    policy = load_policy(save_model(spread=0.3), core)
    result = evaluate_policy_on_split(policy, core, "train", 7)
    for index, episode in enumerate(result.episodes):
        core.start(0, core.dataset("train")[index])
        seen = {key: value[:1] for key, value in core.observe().items()}
        choice = int(policy.predict(seen, deterministic=True)[0][0])
        assert episode.response == offered(core, episode)[choice]


def test_random_choices_are_candidates_and_of_every_place(make_choice_env):
    core = make_choice_env(4).core
    result = evaluate_random(core, "train", 40)
    places = [offered(core, e).index(e.response) for e in result.episodes]
    assert {*places} == {0, 1, 2}


def test_a_policy_of_another_level_or_of_fewer_candidates_is_refused(
    make_choice_env, make_env, save_model, policy
):
    core = make_choice_env(2).core
    with pytest.raises(ConfigError, match="another action level, or other candidates"):
        evaluate_policy_on_split(policy, core, "train", 2)
    chooser = load_policy(save_model(spread=0.3), core)
    with pytest.raises(ConfigError, match="another action level, or other candidates"):
        evaluate_policy_on_split(chooser, make_env(2).core, "train", 2)
