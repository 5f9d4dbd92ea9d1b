"""Environments for verl: the data, the score, and episodes that equal the vector environment's."""

from __future__ import annotations

import asyncio
from typing import Any

import gymnasium as gym
import numpy as np
import pyarrow.parquet
import pytest

from agents.integrations import verl
from textenv.errors import ConfigError, UnknownNameError
from textenv.rollout import play_text
from textenv.vector import make_core

SHORT = {"max_new_tokens": 12}


def rows_of(id: str, tmp_path: Any, n: int = 4, **arguments: Any) -> list[dict[str, Any]]:
    path = tmp_path / "rows.parquet"
    assert verl.export_parquet(id, path, n, **arguments) == n
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def test_rows_name_their_examples(tmp_path):
    rows = rows_of("TextSummarize-v0", tmp_path, split="test", **SHORT)
    dataset = make_core("TextSummarize-v0", 1, SHORT).dataset("test")
    for row in rows:
        example = dataset[row["extra_info"]["index"]]
        assert row["reward_model"]["ground_truth"] == example.references[0]
        assert example.prompt in row["prompt"][-1]["content"]
        # With it, every run would need the loop's YAML.
        assert "agent_name" not in row
        assert row["data_source"] == "TextSummarize-v0"


@pytest.mark.parametrize("id", ["TextSummarize-v0", "TextQA-v0", "TextMath-v0", "TextKeywords-v0"])
def test_scores_are_the_environments(id, tmp_path):
    core = make_core(id, 1, {})
    for row in rows_of(id, tmp_path, 3):
        example = core.dataset("train")[row["extra_info"]["index"]]
        gold = core.task.gold(example, core.task.opening(example))
        score = {
            text: verl.compute_score(id, text, "", row["extra_info"])["score"]
            for text in (gold, "", "something else")
        }
        assert score[gold] == pytest.approx(1.0)
        assert score[""] == 0.0
        assert score["something else"] < 1.0
        played = play_text(core, example, lambda *_: "something else")
        assert score["something else"] == pytest.approx(float(core.reward([played]).total[0]))


def test_what_cannot_be_scored_is_said(tmp_path):
    dialogue = rows_of("TextDialogue-v0", tmp_path, 1)[0]
    with pytest.raises(ConfigError, match=r"has up to .* turns"):
        verl.compute_score("TextDialogue-v0", "Hello", "", dialogue["extra_info"])
    with pytest.raises(ConfigError, match="export_parquet"):
        verl.compute_score("TextQA-v0", "Hello", "", {"index": 3})
    row = rows_of("TextQA-v0", tmp_path, 1)[0]["extra_info"]
    with pytest.raises(UnknownNameError):
        verl.compute_score("TextQA-v0", "Hello", "", {**row, "index": -1})
    with pytest.raises(ConfigError, match="as JSON"):
        verl.export_parquet("TextQA-v0", tmp_path / "x.parquet", 1, reward=object())


def test_no_key_is_written(tmp_path):
    key = {"task_kwargs": {"api_key": "sk-12345678901234567890"}}
    with pytest.raises(ConfigError, match="api_key holds a key"):
        verl.export_parquet("TextQA-v0", tmp_path / "x.parquet", 1, **key)


def scripted(seed: int, vocab_size: int, end_id: int, with_logprobs: bool = True) -> Any:
    """A model that writes random tokens in pieces, and sometimes past the end of its turn."""
    rng = np.random.default_rng(seed)
    seen: list[tuple[list[int], list[int]]] = []

    async def generate(ids: list[int], most: int) -> Any:
        await asyncio.sleep(0)
        tokens = rng.integers(0, vocab_size, int(rng.integers(1, most + 3))).tolist()
        if rng.random() < 0.5:
            tokens[int(rng.integers(len(tokens)))] = end_id
        seen.append((ids, tokens))
        return tokens, [-0.5] * len(tokens) if with_logprobs else None

    return generate, seen


@pytest.mark.parametrize("id", ["TextTranslate-v0", "TextDialogue-v0"])
def test_an_episode_is_that_of_the_vector_environment(as_lists, id, tmp_path):
    env: Any = gym.make_vec(id, num_envs=1, autoreset_mode="disabled", **SHORT)
    tokenizer = env.core.tokenizer
    n_turns = []
    for seed, row in enumerate(rows_of(id, tmp_path, 4, **SHORT)):
        generate, _ = scripted(seed, tokenizer.vocab_size, tokenizer.end_id)
        played = as_lists(asyncio.run(verl.play_episode(id, row["extra_info"], generate)))
        where = {"index": row["extra_info"]["index"], "split": "train"}
        observation, _ = env.reset(options=where)
        start = int(observation["attention_mask"][0].sum())
        assert played.prompt_ids == observation["input_ids"][0, :start].tolist()
        total = 0.0
        for token, written in zip(played.response_ids, played.response_mask, strict=True):
            if written:
                observation, reward, *_ = env.step(np.array([token]))
                total += float(reward[0])
        end = int(observation["attention_mask"][0].sum())
        assert played.response_ids == observation["input_ids"][0, start:end].tolist()
        assert played.reward == pytest.approx(total)
        assert played.logprobs == [-0.5 * written for written in played.response_mask]
        n_turns.append(played.n_turns)
    assert (max(n_turns) > 1) == (id == "TextDialogue-v0")


def test_episodes_at_the_same_time_do_not_share_their_slots(as_lists, tmp_path):
    rows = rows_of("TextDialogue-v0", tmp_path, 4, **SHORT)
    tokenizer = make_core("TextDialogue-v0", 1, SHORT).tokenizer

    def play(seed: int) -> Any:
        generate, _ = scripted(seed, tokenizer.vocab_size, tokenizer.end_id)
        return verl.play_episode("TextDialogue-v0", rows[seed]["extra_info"], generate)

    async def together() -> Any:
        return await asyncio.gather(*(play(seed) for seed in range(4)))

    at_once = [as_lists(played) for played in asyncio.run(together())]
    assert at_once == [as_lists(asyncio.run(play(seed))) for seed in range(4)]


def test_a_model_that_writes_nothing_ends_the_episode_with_a_word(tmp_path):
    async def silent(ids: list[int], most: int) -> Any:
        return [], None

    row = rows_of("TextQA-v0", tmp_path, 1)[0]
    with pytest.raises(ConfigError, match="wrote nothing"):
        asyncio.run(verl.play_episode("TextQA-v0", row["extra_info"], silent))


def test_a_core_that_another_thread_takes_first_is_made_anew(tmp_path, monkeypatch):
    class TakenMeanwhile(list):  # type: ignore[type-arg]
        def __bool__(self) -> bool:
            return True

    row = rows_of("TextQA-v0", tmp_path, 1)[0]["extra_info"]
    monkeypatch.setitem(verl._IDLE, ("TextQA-v0", row["arguments"]), TakenMeanwhile())
    assert verl.compute_score("TextQA-v0", "", "", row)["score"] == 0.0
