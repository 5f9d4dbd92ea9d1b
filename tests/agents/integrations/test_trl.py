"""Environments as TRL takes them: rows, rewards and rollouts agree with the environment itself.

That TRL's own trainer runs on them is tested with the examples.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import textenv
from agents.integrations.trl import episode_reward, prompt_rows, reward_function, rollout_function
from agents.models.loading import load_model
from textenv.errors import ConfigError

_ONE_TURN, _TURNS = "TextSummarize-v0", "TextDialogue-v0"


def _core(id: str, n: int = 1) -> Any:
    return gym.make_vec(id, num_envs=n).core


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model("embedded")


@pytest.fixture
def trainer(model) -> Any:
    """What a rollout function uses of a GRPOTrainer."""
    accelerator = SimpleNamespace(unwrap_model=lambda model: model, autocast=nullcontext)
    return SimpleNamespace(
        model=model,
        accelerator=accelerator,
        args=SimpleNamespace(temperature=0.7, top_p=1.0, top_k=0, min_p=None),
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_row_names_its_example_and_shows_its_opening(split):
    core = _core(_TURNS)
    rows = prompt_rows(_TURNS, 50, split=split)
    assert len(rows) == 50
    for row in rows:
        opening = core.task.opening(core.dataset(row["split"])[row["index"]])
        shown = [(message["role"], message["content"]) for message in row["prompt"]]
        assert shown == [(turn.role, turn.text) for turn in opening]
    assert {row["split"] for row in rows} == {split}


def test_no_two_rows_have_the_same_prompt(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"document": f"Report {i % 40}.", "summary": f"{i}."}) for i in range(80)]
    path.write_text("\n".join(lines), encoding="utf-8")
    rows = prompt_rows(_ONE_TURN, 999, dataset=str(path))
    prompts = {row["prompt"][-1]["content"] for row in rows}
    assert 20 < len(rows) == len(prompts) <= 40


def test_a_number_of_rows_is_from_1_up():
    with pytest.raises(ConfigError, match="from 1 up, not -1"):
        prompt_rows(_ONE_TURN, -1)


def test_a_prompt_of_two_examples_is_refused():
    rows = prompt_rows(_ONE_TURN, 3)
    twin = {**rows[0], "split": "test", "index": 7}
    rollout_function(_ONE_TURN, [*rows, *rows])
    with pytest.raises(ConfigError, match="Two rows have the same prompt"):
        rollout_function(_ONE_TURN, [*rows, twin])


def test_completions_are_paid_what_the_environment_pays():
    core = _core(_ONE_TURN)
    rows = prompt_rows(_ONE_TURN, 6)
    gold = [core.task.gold(core.dataset()[row["index"]]) for row in rows]
    said = [gold[0], "", gold[2][:20], "A ship.", gold[5], "word " * 100]
    logged: dict[str, float] = {}
    rewards = reward_function(_ONE_TURN)(
        prompts=[row["prompt"] for row in rows],
        completions=[[{"role": "assistant", "content": text}] for text in said],
        index=[row["index"] for row in rows],
        split=[row["split"] for row in rows],
        log_metric=logged.__setitem__,
        trainer_state=None,
    )
    played = []
    env = gym.make(_ONE_TURN, action_level="text")
    for row, text in zip(rows, said, strict=True):
        env.reset(options={"index": row["index"], "split": row["split"]})
        played.append(env.step(text)[1])
    assert rewards == pytest.approx(played)
    assert rewards[:2] == [1.0, 0.0]
    assert 0 < rewards[2] < 1
    assert logged == {"reward_components/rougeL": pytest.approx(np.mean(rewards))}


def test_plain_texts_are_completions_too_and_the_split_counts():
    core = _core(_ONE_TURN)
    reward = reward_function(_ONE_TURN)
    gold = core.task.gold(core.dataset("test")[3])
    columns = {"prompts": [None, None], "completions": [gold, gold], "index": [3, 3]}
    assert reward(**columns, split=["test", "test"]) == [1.0, 1.0]
    assert reward(**columns, split=["test", "train"])[1] < 1.0
    assert reward.__name__ == _ONE_TURN


def test_a_completion_without_content_says_nothing():
    seen = []

    def reward(episodes: Any) -> Any:
        seen.extend(episode.responses for episode in episodes)
        return np.zeros(len(episodes))

    rows = prompt_rows(_ONE_TURN, 1)
    columns = {name: [row[name] for row in rows] for name in ("index", "split")}
    silent = [[{"role": "assistant", "content": None}]]
    reward_function(_ONE_TURN, reward=reward)([rows[0]["prompt"]], silent, **columns)
    assert seen == [("",)]


def test_a_completion_is_not_taken_for_an_episode_of_several_turns():
    with pytest.raises(textenv.ConfigError, match="rollout_func"):
        reward_function(_TURNS)


@pytest.mark.parametrize("id", [_ONE_TURN, _TURNS])
def test_a_rollout_is_an_episode_of_the_environment(id, trainer, monkeypatch):
    rows = prompt_rows(id, 4)
    # The model is sure of what to say in a dialogue; two samples of a prompt are to differ.
    monkeypatch.setattr(trainer.args, "temperature", 1.5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        result = rollout_function(id, rows)(
            [row["prompt"] for row in rows for _ in range(2)], trainer
        )
    core = _core(id)
    for i in range(8):
        core.start(0, core.dataset()[rows[i // 2]["index"]])
        assert result["prompt_ids"][i] == core.input_ids[0, : core.lengths[0]].tolist()
        start, paid = int(core.lengths[0]), 0.0
        written = [
            id
            for id, is_agents in zip(
                result["completion_ids"][i], result["env_mask"][i], strict=True
            )
            if is_agents
        ]
        for token in written:
            assert core.playing[0]
            paid += core.step(np.array([token]))[0][0]
        assert not core.playing[0]
        assert result["completion_ids"][i] == core.input_ids[0, start : core.lengths[0]].tolist()
        assert result["env_mask"][i] == core.action_mask[0, start : core.lengths[0]].tolist()
        assert result["episode_rewards"][i] == pytest.approx(paid)
    several = [0 in mask for mask in result["env_mask"]]
    assert any(several) == (id == _TURNS)
    assert len({tuple(ids) for ids in result["completion_ids"]}) > 4


def test_its_logprobs_are_those_of_the_model_at_the_trainers_temperature(trainer, model):
    rows = prompt_rows(_TURNS, 3)
    result = rollout_function(_TURNS, rows)([row["prompt"] for row in rows], trainer)
    for prompt, completion, logprobs, mask in zip(
        *(result[key] for key in ("prompt_ids", "completion_ids", "logprobs", "env_mask")),
        strict=True,
    ):
        ids = torch.tensor([[*prompt, *completion]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1] / 0.7
        wanted = torch.log_softmax(logits, -1).gather(1, torch.tensor(completion)[:, None])[:, 0]
        wanted = wanted * torch.tensor(mask)
        assert torch.allclose(torch.tensor(logprobs), wanted, atol=1e-4)


def test_more_prompts_than_before_are_played_too(trainer):
    rows = prompt_rows(_ONE_TURN, 5)
    rollout = rollout_function(_ONE_TURN, rows)
    for n in (2, 5, 3):
        result = rollout([row["prompt"] for row in rows[:n]], trainer)
        assert {len(values) for values in result.values()} == {n}


def test_the_episodes_reward_is_passed_on_with_its_components():
    logged: dict[str, float] = {}
    paid = episode_reward(
        prompts=[[]] * 2,
        completions=[[]] * 2,
        episode_rewards=[0.25, 1.0],
        episode_components=[{"slots": 0.5}, {"slots": 1.0}],
        log_metric=logged.__setitem__,
        index=[0, 1],
    )
    assert paid == [0.25, 1.0]
    assert logged == {"reward_components/slots": 0.75}


def test_a_prompt_of_no_row_is_told(trainer):
    rollout = rollout_function(_ONE_TURN, prompt_rows(_ONE_TURN, 2))
    with pytest.raises(textenv.ConfigError, match="'Never seen' is not one of the rows"):
        rollout([[{"role": "user", "content": "Never seen"}]], trainer)


@pytest.mark.parametrize(("name", "value"), [("top_p", 0.9), ("top_k", 50), ("min_p", 0.1)])
def test_sampling_from_a_cut_distribution_is_refused(trainer, name, value):
    setattr(trainer.args, name, value)
    rows = prompt_rows(_ONE_TURN, 1)
    with pytest.raises(textenv.ConfigError, match=f"{name}={value}"):
        rollout_function(_ONE_TURN, rows)([rows[0]["prompt"]], trainer)
