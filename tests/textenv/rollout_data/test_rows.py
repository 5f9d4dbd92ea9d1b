"""A row of rollouts is the episode: scored again, it earns what it earned."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

import textenv
from textenv import ConfigError, RewardResult
from textenv.json_lines import to_line
from textenv.rewards import compute_rewards
from textenv.rewards.score import read_rows
from textenv.rollout import play_text
from textenv.rollout_data.rows import read_rollouts, rollout_row
from textenv.vector import make_core

OPENING = {"role": "user", "content": "Which colour?"}
ROW = {
    "id": "7",
    "messages": [OPENING, {"role": "assistant", "content": "red"}],
    "n_opening": 1,
    "response": "red",
    "reward": 0.5,
    "stop_reason": "end_of_turn",
    "references": ["red"],
}


def lines_of(rows):
    return io.BytesIO("".join(map(to_line, rows)).encode())


@pytest.mark.parametrize("id", textenv.registered_ids())
def test_a_row_scored_again_earns_what_the_episode_earned(id):
    core = make_core(id)
    dataset = core.dataset("test")
    speakers = (
        core.task.gold,
        lambda example, turns: core.task.gold(example, turns)[:12],
        lambda example, turns: "I do not know.",
        lambda example, turns: f"{core.task.gold(example, turns)} {'again ' * 300}",
    )
    played = [play_text(core, dataset[index], speak) for index in range(2) for speak in speakers]
    result = compute_rewards(core.reward, played)
    rows = [rollout_row(episode, result, i, {}) for i, episode in enumerate(played)]
    again = read_rows(lines_of(rows), "rows")
    for episode, read in zip(played, again, strict=True):
        assert [(t.role, t.text) for t in read.turns] == [(t.role, t.text) for t in episode.turns]
        for name in ("n_opening", "stop_reason", "prompt_cut", "response"):
            assert getattr(read, name) == getattr(episode, name), name
    scored = compute_rewards(core.reward, again)
    assert scored.total.tolist() == result.total.tolist() == [row["reward"] for row in rows]
    assert {n: v.tolist() for n, v in scored.components.items()} == {
        n: v.tolist() for n, v in result.components.items()
    }
    assert played[3].stop_reason == "max_new_tokens"
    assert result.total[0] == 1.0
    assert result.total[2] < 1.0


def test_what_a_file_tells_of_an_answer_is_not_metadata_of_its_example():
    (episode,) = read_rows(lines_of([ROW | {"model": "m", "metadata": {"goal": "x"}}]), "rows")
    assert episode.example.metadata == {"goal": "x"}
    assert episode.example.references == ("red",)


def test_an_answer_that_no_reward_could_score_says_why(tmp_path):
    (episode,) = read_rows(lines_of([ROW]), "rows")
    result = RewardResult(
        np.array([np.nan]), {"a": np.array([np.nan])}, np.array([False]), {0: "x"}
    )
    row = rollout_row(episode, result, 0, {})
    assert (row["reward"], row["components"], row["invalid"]) == (None, {}, "x")
    path = tmp_path / "rows.jsonl"
    path.write_bytes(lines_of([row, ROW]).read())
    read = read_rollouts(path)
    assert (len(read.rollouts), read.n_unscored) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"response": "blue"}, "the 'response' is not what the assistant says"),
        ({"stop_reason": "tired"}, "the stop_reason is 'tired'"),
        ({"n_opening": 2}, "'n_opening' is 2"),
    ],
)
def test_a_conversation_that_contradicts_its_row_is_refused(changes, message):
    with pytest.raises(ConfigError, match=f"Line 1 of rows: {message}"):
        read_rows(lines_of([ROW | changes]), "rows")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ('{"id": "7"}', "Line 1 of .* has no 'reward'"),
        (json.dumps(ROW | {"reward": "much"}), "the reward is 'much'"),
        (json.dumps(ROW | {"reward": True}), "the reward is True"),
        (json.dumps(ROW).replace("0.5", "NaN"), "the reward is nan"),
        (json.dumps(ROW | {"reward": 10**400}), "it has to be a number"),
        (json.dumps(ROW).replace("0.5", "-Infinity"), "the reward is -inf"),
        (json.dumps(ROW | {"reward": None}), "has no row that could be used"),
        (json.dumps(ROW) + "\n{", "Line 2 of .* is not JSON"),
        (json.dumps({"id": "7", "reward": 1, "response": "x"}), "has no conversation"),
    ],
)
def test_what_is_no_rollout_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_rollouts(path)


def test_answers_that_were_cut_off_can_be_left_out(tmp_path):
    cut = ROW | {"stop_reason": "max_new_tokens"}
    path = tmp_path / "rows.jsonl"
    path.write_bytes(lines_of([ROW, cut]).read())
    assert [rollout.cut for rollout in read_rollouts(path).rollouts] == [False, True]
    assert len(read_rollouts(path, ended_only=True).rollouts) == 1
    path.write_bytes(lines_of([cut]).read())
    with pytest.raises(ConfigError, match="only answers that were cut off"):
        read_rollouts(path, ended_only=True)
