"""Features of candidates: what they read, and that stock algorithms learn from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from torch import nn

import textenv
from agents.integrations.sb3_features import (
    CandidateFeatures,
    TextFeatures,
    candidate_policy_kwargs,
    text_policy_kwargs,
)
from textenv import Episode, RewardResult
from textenv.wrappers import SmallVocabulary

_ID = "TextQAChoiceEasy-v0"


@pytest.fixture
def env() -> Any:
    return gym.make_vec(_ID, num_envs=6, action_level="select")


@pytest.fixture
def features(env) -> CandidateFeatures:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CandidateFeatures(env.single_observation_space, int(env.single_action_space.n))


def _as_sb3_shows(observation: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value).float() for key, value in observation.items()}


def _by_candidate(features: CandidateFeatures, observation: dict[str, Any]) -> torch.Tensor:
    with torch.no_grad():
        return features(_as_sb3_shows(observation)).view(len(observation["input_ids"]), 4, -1)


def test_a_candidates_features_do_not_depend_on_its_place(env, features):
    observation, _ = env.reset(seed=0)
    order = [2, 0, 3, 1]
    moved = dict(observation)
    for key in ("candidate_ids", "candidate_mask"):
        moved[key] = observation[key].reshape(6, 4, -1)[:, order].reshape(6, -1)
    wanted = _by_candidate(features, observation)[:, order]
    assert torch.allclose(_by_candidate(features, moved), wanted, atol=1e-6)
    assert not torch.allclose(wanted[:, 0], wanted[:, 1])


def test_padding_and_the_company_of_longer_texts_change_nothing(env, features):
    observation, _ = env.reset(seed=0)
    together = _by_candidate(features, observation)
    for row in range(6):
        alone = {key: value[row : row + 1].copy() for key, value in observation.items()}
        for ids, mask in (("input_ids", "attention_mask"), ("candidate_ids", "candidate_mask")):
            alone[ids][alone[mask] == 0] = 77
        assert torch.allclose(_by_candidate(features, alone)[0], together[row], atol=1e-5)


def test_a_place_without_a_candidate_is_zero(env, features):
    observation, _ = env.reset(seed=0)
    is_zero = (_by_candidate(features, observation) == 0).all(dim=-1).numpy()
    assert (is_zero == ~env.action_masks()).all()
    assert is_zero.any()


def test_every_part_of_the_text_is_read(env, features):
    observation, _ = env.reset(seed=0)
    before = _by_candidate(features, observation)
    changed = {key: value.copy() for key, value in observation.items()}
    changed["input_ids"][:, 5] += 1
    assert not torch.allclose(_by_candidate(features, changed), before)


_REPLIES = {
    "table": "With which food?",
    "taxi": "From where to where?",
    "hotel room": "For how many nights?",
    "haircut": "How short do you like it?",
    "dentist": "Which tooth is it?",
    "film": "In which row of the cinema?",
}


def _write_calls(path: Path, n: int) -> str:
    """Writes calls to a file, each with the reply of its own service among three of others."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        things = rng.choice(list(_REPLIES), 4, replace=False).tolist()
        rows.append(
            {
                "context": [f"Hello, this is caller {i}. I am calling about a {things[0]}."],
                "candidates": [_REPLIES[thing] for thing in things],
                "label": 0,
            }
        )
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return str(path)


def test_which_reply_fits_a_conversation_is_soon_learned(tmp_path):
    calls = _write_calls(tmp_path / "calls.jsonl", 3200)
    env = gym.make_vec("TextDialogueSelect-v0", num_envs=32, dataset=calls)
    core = env.core

    def batch(indices: range, split: str) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        observation, infos = env.reset(options={"index": list(indices), "split": split})
        gold = [core.task.gold(core.example(slot), core.transcript(slot)) for slot in range(32)]
        right = [list(infos["candidates"][slot]).index(gold[slot]) for slot in range(32)]
        return _as_sb3_shows(observation), torch.tensor(right)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = CandidateFeatures(env.single_observation_space, 4)
        head = nn.Linear(features.features_dim, 4)
        optimizer = torch.optim.Adam([*features.parameters(), *head.parameters()], lr=3e-3)
        for step in range(70):
            shown, right = batch(range(32 * step, 32 * step + 32), "train")
            loss = nn.functional.cross_entropy(head(features(shown)), right)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    shown, right = batch(range(32), "test")
    assert (head(features(shown)).argmax(1) == right).float().mean() > 0.8  # chance is 0.25


@pytest.fixture
def text() -> TextFeatures:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TextFeatures(gym.make(_ID, action_level="token").observation_space)


def test_a_text_is_read_without_its_padding(text):
    env = gym.make_vec(_ID, num_envs=6, action_level="token")
    observation, _ = env.reset(seed=0)
    with torch.no_grad():
        together = text(_as_sb3_shows(observation))
        assert together.shape == (6, text.features_dim)
        for row in range(6):
            alone = {key: value[row : row + 1].copy() for key, value in observation.items()}
            alone["input_ids"][alone["attention_mask"] == 0] = 77
            assert torch.allclose(text(_as_sb3_shows(alone))[0], together[row], atol=1e-5)
        changed = {key: value.copy() for key, value in observation.items()}
        changed["input_ids"][:, 5] += 1
        assert not torch.allclose(text(_as_sb3_shows(changed)), together)


def test_the_last_token_stands_by_itself_and_a_short_text_has_zeros(text):
    size = text.embedding.embedding_dim
    ids = torch.tensor([[5.0, 6.0, 0.0]])
    shown = {
        "input_ids": ids,
        "attention_mask": torch.tensor([[1.0, 1.0, 0.0]]),
        "remaining": torch.tensor([[4.0]]),
    }
    last = text(shown)[0, 2 * size : -1].view(4, size)
    assert torch.equal(last[0], text.embedding.weight[6])
    assert torch.equal(last[1], text.embedding.weight[5])
    assert (last[2:] == 0).all()
    assert text(shown)[0, -1] == 4 / 8


def test_a_small_vocabulary_is_learned_by_stock_ppo():
    def red(episodes: Sequence[Episode]) -> RewardResult:
        return RewardResult(np.array([float(e.response.strip() == "red") for e in episodes]))

    def make() -> gym.Env[Any, Any]:
        env = gym.make(_ID, action_level="token", reward=red)
        return SmallVocabulary(env, [" red", " green", " blue", " white"])

    agent = PPO(
        "MultiInputPolicy", make_vec_env(make, n_envs=8, seed=0), n_steps=16, batch_size=64,
        n_epochs=4, learning_rate=2e-3, gamma=1.0, seed=0, device="cpu",
        policy_kwargs=text_policy_kwargs(),
    )  # fmt: skip
    agent.learn(128 * 12)
    assert agent.ep_info_buffer is not None
    paid = [episode["r"] for episode in agent.ep_info_buffer]
    assert np.mean(paid) > 0.6  # 0.04 at the start


def test_another_level_is_refused_in_words():
    env = gym.make(_ID, action_level="token")
    with pytest.raises(textenv.ConfigError, match="action_level='select'"):
        CandidateFeatures(env.observation_space, 4)
    select = gym.make(_ID, action_level="select")
    with pytest.raises(textenv.ConfigError, match="action_level='token'"):
        TextFeatures(select.observation_space)
    text = gym.make(_ID, action_level="text")
    with pytest.raises(textenv.ConfigError, match='action_level="select"'):
        candidate_policy_kwargs(text)
