"""An evaluation says what episodes were worth, over examples and their samples."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import pytest
import torch

from agents.training.evaluation import Evaluation, merge_evaluations, pool_samples
from agents.training.held_out import evaluate_policy_on_split, evaluate_random, score_episodes
from agents.training.speakers import cut_to_first_sentence
from textenv import ConfigError, Episode, Example, RewardResult, estimate_mean


def length_reward(episodes: Any) -> RewardResult:
    lengths = np.array([float(e.action_mask.sum()) for e in episodes])
    return RewardResult(lengths, {"half": lengths / 2})


def test_samples_of_an_example_stand_together_and_count_as_one(make_env, make_agent):
    core = make_env(4, reward=length_reward).core
    policy = make_agent().policy
    torch.manual_seed(0)
    found = evaluate_policy_on_split(policy, core, "train", 5, deterministic=False, n_samples=3)
    wanted = [core.dataset("train")[i].id for i in range(5) for _ in range(3)]
    assert [episode.example.id for episode in found.episodes] == wanted
    assert (found.n_examples, found.n_samples, len(found.rewards)) == (5, 3, 15)
    summary = found.summary()
    assert (summary["examples"], summary["samples"]) == (5, 3)
    means = found.rewards.reshape(5, 3).mean(axis=1)
    assert summary["reward"] == estimate_mean(means).to_json()
    assert summary["reward"] != estimate_mean(found.rewards).to_json()
    cut = cut_to_first_sentence(core, found)
    assert [e.response for e in cut.episodes] == [e.response for e in found.episodes]
    assert cut.n_samples == 3


def test_processes_that_take_turns_keep_samples_together(make_env):
    core = make_env(4, reward=length_reward).core
    whole = evaluate_random(core, "train", 5, n_samples=2)
    parts = []
    for rank in range(2):
        places = [i for i in range(10) if (i // 2) % 2 == rank]
        parts.append(score_episodes(core, [whole.episodes[i] for i in places], 2))
    merged = merge_evaluations(parts)
    assert [id(e) for e in merged.episodes] == [id(e) for e in whole.episodes]
    assert merged.rewards.tolist() == whole.rewards.tolist()
    assert merged.n_samples == 2


def test_pass_at_k_is_that_of_chen_et_al():
    passed = np.array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]])
    found = Evaluation((None,) * 20, np.where(passed, 0.9, 0.2).ravel(), {}, 5)
    for k, estimate in found.pass_at((1, 2, 5), least_reward=0.9).items():
        chances = [1 - comb(5 - c, k) / comb(5, k) for c in passed.sum(axis=1).tolist()]
        assert estimate.mean == pytest.approx(np.mean(chances))
        assert estimate.ci95 == pytest.approx(estimate_mean(chances).ci95)
    assert found.pass_at((5,))[5].mean == 0.0
    for k in (0, 6):
        with pytest.raises(ConfigError, match=f"pass@{k} needs at least"):
            found.pass_at((k,))


def test_seeds_count_as_samples_of_the_same_examples():
    parts = [
        Evaluation((Episode(Example("a", "", ("",)), ()),) * 4, np.array(rewards), {}, 2, invalid)
        for rewards, invalid in (([1.0, 2.0, 3.0, 4.0], {}), ([5.0, 6.0, 7.0, np.nan], {3: "no"}))
    ]
    pooled = pool_samples(parts)
    assert pooled.n_samples == 4
    assert pooled.rewards[:7].tolist() == [1, 2, 5, 6, 3, 4, 7]
    assert pooled.invalid == {7: "no"}
    # The second example has three samples with a score.
    assert pooled.estimate(pooled.rewards).mean == (14 / 4 + 14 / 3) / 2


def test_pass_at_k_of_examples_that_each_lack_a_score_says_so():
    rewards = np.array([1.0, np.nan, 0.0, np.nan])
    found = Evaluation((None,) * 4, rewards, {}, 2, {1: "refused", 3: "refused"})
    assert found.estimate(rewards).mean == 0.5
    with pytest.raises(ConfigError, match="2 of 4 answers have no score"):
        found.pass_at((1,))
