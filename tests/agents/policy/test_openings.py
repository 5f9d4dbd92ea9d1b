"""Episodes with equal openings share them in a pass, which changes no number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch

import textenv  # noqa: F401 # registers the environments
from agents import TextPPO
from agents.policy.episode_batch import EpisodeBatch, make_batch
from agents.policy.micro_batches import split_by_opening
from agents.policy.sequences import split_into_passes
from textenv.rollout import PlayedEpisode

# Tokens that are read, and those that are written, one after the other, of each episode.
SHAPES = {
    "a group of three": [(5, 2), (5, 4), (5, 1)],
    "two groups, and one alone": [(12, 3), (11, 2), (12, 1), (9, 2), (11, 5)],
    "over turns": [(5, 2, 3, 1), (5, 1, 2, 2, 4, 1), (5, 3)],
    "nothing written": [(5, 0), (5, 2), (5, 3)],
    "of one opening": [(7, 1)] * 7,
}


def make_episodes(shapes: list[tuple[int, ...]]) -> list[PlayedEpisode]:
    """Episodes whose openings are equal if they are equally long."""
    found = []
    for i, shape in enumerate(shapes):
        mask = np.concatenate([np.full(n, k % 2 == 1) for k, n in enumerate(shape)])
        drawn = np.random.default_rng(i).integers(3, 90, len(mask))
        opening = np.random.default_rng(1000 + shape[0]).integers(3, 90, shape[0])
        drawn[: shape[0]] = opening
        ids = drawn.astype(np.int32)
        rewards = np.where(mask, 0.5, 0).astype(np.float32)
        found.append(PlayedEpisode(ids, mask, rewards, rewards, group=shape[0]))
    return found


@pytest.fixture(scope="module")
def agent() -> TextPPO:
    env = gym.make_vec("TextSummarize-v0", num_envs=4)
    agent = TextPPO(
        "LMPolicy", env, seed=0, policy_kwargs={"bf16": False},
        advantage="rloo", group_size=2, n_episodes=8, batch_size=4, n_epochs=3,
    )  # fmt: skip
    with torch.no_grad():
        agent.policy.value_head.weight.normal_(0.0, 0.1)
    return agent


def rows_apart(batch: EpisodeBatch) -> EpisodeBatch:
    return replace(batch, openings=None)


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_no_number_and_no_gradient_changes(agent: TextPPO, shapes: list[tuple[int, ...]]) -> None:
    batch, policy = make_batch(make_episodes(shapes)), agent.policy
    found = []
    for part in (batch, rows_apart(batch)):
        policy.zero_grad()
        outputs = policy.evaluate_sequences(part, with_entropy=True)
        (outputs.logprobs.sum() + outputs.values.square().sum()).backward()
        gradient = torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None])
        found.append([outputs.logprobs, outputs.values, outputs.entropy, outputs.final_values])
        found[-1].append(gradient / gradient.abs().max())
    assert policy.networks.shares_openings
    assert batch.side_by_side is not None
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=3e-5)


def test_what_shares_nothing_stays_in_rows() -> None:
    assert make_batch(make_episodes([(5, 2), (6, 2), (7, 2)])).side_by_side is None
    # One opening of four tokens is saved, and padding costs more.
    assert make_batch(make_episodes([(2, 1), (2, 9), (9, 2)])).side_by_side is None


@pytest.mark.parametrize("max_tokens", [1, 12, 20, 33, 1000])
def test_passes_hold_each_episode_once_within_the_budget(max_tokens: int) -> None:
    batch = make_batch(make_episodes([(9, 3), (4, 2), (9, 1), (9, 2), (4, 5), (30, 1)]))
    rows = torch.tensor([5, 0, 4, 2, 1])
    parts = list(split_by_opening(batch, rows, max_tokens))
    assert sorted(torch.cat(parts).tolist()) == [0, 1, 2, 4, 5]
    for part in parts:
        taken = batch.take(part)
        shared = taken.side_by_side
        ids = taken.input_ids if shared is None else shared.choices.input_ids
        assert ids.numel() <= max_tokens or len(part) == 1
    if max_tokens == 33:
        assert [sorted(part.tolist()) for part in parts] == [[5], [0, 2], [1, 4]]


def test_groups_stay_together_in_minibatches_and_their_openings_in_passes(
    agent: TextPPO, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    accumulate = agent.accumulate_gradients

    def note(batch: EpisodeBatch, targets: object, rows: torch.Tensor) -> dict[str, float]:
        seen.append(batch.groups[rows].tolist())
        (passed,) = split_into_passes(agent.policy.networks, batch, rows)
        assert batch.take(passed).side_by_side is not None
        return accumulate(batch, targets, rows)

    monkeypatch.setattr(agent, "accumulate_gradients", note)
    found: list[Mapping[str, float]] = []
    agent.learn(total_episodes=8, after_iteration=lambda metrics: not found.append(metrics))
    assert len(seen) == 2 * 3
    for groups in seen:
        assert groups[0] == groups[1] != groups[2] == groups[3]
    assert len({tuple(groups) for groups in seen}) > 2, "in a new order each epoch"
    assert found[0]["train/first_ratio"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("options", [{"frozen_layers": 1}, {"lora": {"r": 2}}])
def test_the_reference_shares_openings_too(options: dict[str, object]) -> None:
    agent = TextPPO(
        "LMPolicy", "TextSummarize-v0", seed=0, policy_kwargs={"bf16": False, **options},
        advantage="rloo", group_size=2, n_episodes=4, batch_size=4, n_envs=4,
    )  # fmt: skip
    batch, policy = make_batch(make_episodes(SHAPES["a group of three"])), agent.policy
    with agent.reference.recording():
        policy.evaluate_sequences(batch)
    found = agent.reference.logprobs(batch)
    wanted = agent.reference.logprobs(rows_apart(batch))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=3e-5)
