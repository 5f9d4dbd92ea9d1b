"""Choices of the update: aggregation, cut-off episodes, components, dead groups; and metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from agents.policy.episode_batch import make_batch
from agents.ppo.advantages import standardise_components
from agents.ppo.losses import aggregation_size, aggregation_weights
from agents.ppo.metrics import count_turns
from agents.ppo.rollout import collect_episodes, collect_groups, find_equal_groups
from agents.training.config import load_config
from textenv import ConfigError, RewardResult, UnknownNameError
from textenv.rollout import PlayedEpisode

END = 2


def episode(reward: float, group: int = 0, invalid: str | None = None) -> PlayedEpisode:
    rewards = np.array([0.0, reward], np.float32)
    mask = np.array([False, True])
    return PlayedEpisode(
        np.array([5, END], np.int32), mask, rewards, group=group, invalid_reason=invalid
    )


def metrics_of(agent: Any, episodes: int = 12) -> dict[str, float]:
    rows: list[dict[str, float]] = []
    agent.learn(total_episodes=episodes, after_iteration=lambda m: not rows.append(dict(m)))
    return rows[-1]


# How the loss of a minibatch is put together

MASK = torch.tensor([[0, 1, 0, 0], [0, 1, 1, 1], [0, 1, 1, 0]], dtype=torch.bool)
LOSSES = torch.tensor([[0.0, 6, 0, 0], [0.0, 1, 2, 3], [0.0, 5, 1, 0]])


@pytest.mark.parametrize(
    ("kind", "masked", "expected"),
    [
        ("token", None, 18 / 6),
        ("token", [True, False, False], 12 / 5),
        ("sequence", None, (6 + 2 + 3) / 3),
        ("sequence", [True, False, False], (2 + 3) / 2),
        ("constant", None, (6 + 6 + 6) / 4 / 3),
        ("constant", [True, False, False], (6 + 6) / 4 / 3),
        ("sequence", [True, True, True], 0.0),
    ],
)
def test_the_three_means_by_hand(kind, masked, expected):
    masked = None if masked is None else torch.tensor(masked)
    weights = aggregation_weights(MASK, kind, masked, max_tokens=4)
    if weights is None:
        weights = MASK.float()
    size = aggregation_size(weights, kind)
    found = (weights * LOSSES).sum() / size if size > 0 else torch.tensor(0.0)
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["sequence", "constant"])
@pytest.mark.parametrize("mask_cut_off", [False, True])
def test_the_gradient_is_that_of_the_mean_however_it_is_split(make_agent, kind, mask_cut_off):
    agent = make_agent(
        critic_warmup=0, vf_coef=0.0, loss_aggregation=kind, mask_cut_off=mask_cut_off, ent_coef=0.1
    )
    batch = make_batch(collect_episodes(agent.env, agent.policy, 12))
    assert 0 < batch.cut_off.sum() < 12
    assert torch.equal(batch.cut_off, batch.input_ids[range(12), batch.lengths - 1] != END)
    targets = agent.compute_targets(batch)
    gradients = []
    for max_tokens in (1, 8192):
        agent.policy.options = agent.policy.options.replace(max_tokens_per_batch=max_tokens)
        stats = agent.accumulate_gradients(batch, targets, torch.arange(12))
        grads = [p.grad.flatten() for p in agent.policy.parameters() if p.grad is not None]
        gradients.append(torch.cat(grads))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)
    with torch.no_grad():
        outputs = agent.policy.evaluate_sequences(batch, with_entropy=True)
    losses = torch.zeros(batch.action_mask.shape)
    losses[batch.action_mask] = -targets.advantages[batch.action_mask] - 0.1 * outputs.entropy
    counted = ~batch.cut_off if mask_cut_off else torch.ones(12, dtype=torch.bool)
    sums = losses.sum(1)[counted]
    if kind == "sequence":
        wanted = (sums / batch.action_mask.sum(1)[counted]).mean()
    else:
        wanted = sums.sum() / 6 / 12
    assert stats["loss"] == pytest.approx(float(wanted), rel=1e-4, abs=1e-6)


# Components, each for itself


def test_components_are_standardised_each_for_itself_by_hand():
    # In the first group 0, 2 and 10, 10; in the second 1, 1 and none, 4.
    parts = torch.tensor([[0.0, 10.0], [2.0, 10.0], [1.0, np.nan], [1.0, 4.0]])
    groups, weights = torch.tensor([0, 0, 1, 1]), torch.tensor([1.0, 0.5])
    unit = 1 / (2**0.5 + 1e-4)
    found = standardise_components(parts, weights, groups)
    torch.testing.assert_close(found, torch.tensor([-unit, unit, 0, 0]).double())
    # The sum is the same in both, the parts are not.
    parts = torch.tensor([[0.0, 100.0], [1.0, 0.0], [0.0, 0.0], [1.0, 100.0]])
    found = standardise_components(parts, torch.ones(2), torch.zeros(4))
    spread = 3**-0.5  # of 0, 1, 0, 1 about their mean: 1 / 2 over sqrt(1 / 3)
    torch.testing.assert_close(
        found, torch.tensor([0.0, 0, -1, 1]).double() / spread / 1, rtol=1e-3, atol=1e-3
    )


def two_parts(episodes: Any) -> RewardResult:
    """Pays mostly for length, and a little for the word "red"."""
    n = np.array([float(e.action_mask.sum()) for e in episodes])
    red = np.array([float("red" in e.response.split()) for e in episodes])
    return RewardResult(100 * n + red, {"length": n, "red": red})


@pytest.mark.parametrize("advantage", ["grpo", "gae", "reinforce++"])
def test_components_reach_the_advantages(make_agent, make_env, advantage):
    agent = make_agent(
        make_env(reward=two_parts), advantage=advantage, group_size=4, kl_coef=0.0,
        component_weights={"red": 1.0}, n_episodes=24, gae_lambda=1.0,
    )  # fmt: skip
    episodes = collect_episodes(agent.env, agent.policy, 24, group_size=4)
    batch = make_batch(episodes, components=("red",))
    targets = agent.compute_targets(batch)
    first = targets.advantages.gather(1, batch.action_mask.int().argmax(1, keepdim=True))[:, 0]
    red = batch.components[:, 0] == 1
    assert 0 < red.sum() < 24
    if advantage == "grpo":
        for group in batch.groups.unique():
            mine = batch.groups == group
            if mine[red].any() and mine[~red].any():
                assert first[mine & red].min() > 0 > first[mine & ~red].max()
            else:
                assert not first[mine].any()
    else:
        assert first[red].min() > first[~red].max()


def test_a_component_that_does_not_exist_names_those_that_do(make_agent, make_env):
    agent = make_agent(
        make_env(reward=two_parts), advantage="grpo", group_size=4, component_weights={"rad": 1.0}
    )
    with pytest.raises(UnknownNameError, match=r"no component 'rad'\. Did you mean 'red'"):
        agent.learn(total_episodes=12)
    with pytest.raises(ConfigError, match="does not standardise"):
        make_agent(advantage="rloo", group_size=4, component_weights={"red": 1.0})
    words = ["component_weights.red=1", "component_weights.length=0.5", "group_size=2"]
    config = load_config(None, [*words, "advantage=grpo"], id="TextQA-v0")
    assert config.component_weights == {"red": 1.0, "length": 0.5}


# Groups without variance


def test_equal_groups_are_found_up_to_rounding():
    played = [episode(r, g) for g, pair in enumerate([(1, 1), (0, 1), (0.7, 0.7 + 1e-9)])
              for r in pair]  # fmt: skip
    played += [episode(np.nan, 3, "no answer"), episode(0.5, 3), episode(np.nan, 4, "no answer")]
    assert find_equal_groups(played) == {0, 2, 3, 4}


def test_they_are_replaced_until_the_rounds_are_over():
    asked = []

    def collect(n: int) -> list[PlayedEpisode]:
        asked.append(n)
        # Every other group of each call is equal.
        return [episode(i % 2 if i // 2 % 2 else 0.0, i // 2) for i in range(n)]

    episodes, replaced = collect_groups(collect, 16, 2, rounds=2)
    assert asked == [16, 8, 4]
    assert sorted(e.group for e in episodes) == [g for g in range(8) for _ in range(2)]
    assert len(find_equal_groups(episodes)) == 1
    assert len(replaced) == 12
    assert {e.group for e in replaced} == set(range(8, 14))
    assert collect_groups(lambda n: None, 16, 2, rounds=2) is None
    assert collect_groups(collect, 16, 2, rounds=0)[1] == []


def test_replaced_groups_count_as_played_and_are_logged(make_agent, make_env):
    calls = []

    def reward(episodes: Any) -> RewardResult:
        """The first prompts are worth nothing to anyone."""
        calls.append(len(episodes))
        return RewardResult(
            np.array([float(e.action_mask.sum()) * (sum(calls) > 12) for e in episodes])
        )

    agent = make_agent(
        make_env(reward=reward), advantage="rloo", group_size=4, resample_rounds=3, batch_size=12
    )
    row = metrics_of(agent, 1)
    assert len(agent.episodes) == 12
    assert agent.n_episodes_done > 12
    n_groups = agent.n_episodes_done // 4
    assert row["rollout/equal_groups"] * n_groups >= 3
    assert row["rollout/reward_mean"] > 0
    prompts = {tuple(e.input_ids[: e.n_prompt]) for e in agent.episodes}
    assert len(prompts) == 3
    with pytest.raises(ConfigError, match="resample_rounds replaces groups"):
        make_agent(resample_rounds=1)


# What is logged


def test_turns_that_the_agent_ended_are_counted():
    ids = np.array([3, 7, END, 4, 7, 7, 4, END], np.int32)
    mask = np.array([0, 1, 1, 0, 1, 1, 0, 1], np.bool_)
    played = PlayedEpisode(ids, mask, np.zeros(8, np.float32))
    # The third turn of the first holds nothing but the end, and so does the other's only one.
    assert count_turns([played, episode(0.0)], END) == (3, 2, 4)
    assert count_turns([played], None) == (0, 0, 0)


def test_an_iteration_says_what_an_expert_asks(make_agent, make_env):
    agent = make_agent(
        make_env(max_turns=2), critic_warmup=0, learning_rate=3e-2, n_epochs=4, kl_coef=0.1,
        learning_rate_warmup=0,
    )  # fmt: skip
    rows: list[dict[str, float]] = []
    agent.learn(total_episodes=24, after_iteration=lambda m: not rows.append(dict(m)))
    row, played = rows[-1], agent.episodes
    tokens = np.array([e.action_mask.sum() for e in played])
    assert row["rollout/response_tokens_std"] == pytest.approx(tokens.std())
    assert row["rollout/response_tokens_max"] == tokens.max()
    ended = [t for e in played for t in e.said.turns if t.role == "assistant"]
    assert len(ended) == 24
    assert 0 < row["rollout/ended_share"] < 1
    assert row["rollout/kl_per_token"] == pytest.approx(row["kl/ref"] * 12 / tokens.sum(), rel=1e-4)
    assert row["train/ratio_max"] > 1.2
    both = row["train/clip_fraction_high"] + row["train/clip_fraction_low"]
    assert row["train/clip_fraction"] == pytest.approx(both)
    assert 0 < row["train/clip_fraction_high"] < both
    assert (row["train/optimizer_steps"], row["train/skipped_steps"]) == (8, 0)
    assert 0 < row["time/reward_s"] < row["time/rollout_s"]
    assert "rollout/equal_groups" not in row

    batch = make_batch(played)
    agent.normalize_advantage = False
    agent.compute_targets(batch)
    logged = agent.logger.name_to_value
    targets = agent.compute_targets(batch)
    for name in ("advantages", "returns", "values"):
        found = getattr(targets, name)[batch.action_mask]
        assert logged[f"train/{name[:-1]}_mean"] == pytest.approx(float(found.mean()), abs=1e-5)
        std = float(found.std(correction=0))
        assert logged[f"train/{name[:-1]}_std"] == pytest.approx(std, rel=1e-4)


def test_the_seconds_of_a_reward_that_waits_are_counted(make_agent, make_env):
    def slow(episodes: Any) -> RewardResult:
        return RewardResult(np.array([float(e.action_mask.sum()) for e in episodes]))

    slow.waits = True
    agent = make_agent(make_env(reward=slow))
    assert metrics_of(agent)["time/reward_s"] > 0
