"""The texts that a run keeps while it trains: which, how many, and what a resumed run keeps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agents.training import kept_texts
from agents.training.kept_texts import TextLog, spread_over_rewards
from textenv.errors import ConfigError
from textenv.examples import Episode, Example, Turn
from textenv.report.metric_rows import read_rows
from textenv.rollout import PlayedEpisode


def kept(path: Path) -> list[int]:
    return [row["iteration"] for row in read_rows(path)]


@pytest.fixture
def four_times(monkeypatch) -> None:
    monkeypatch.setattr(kept_texts, "MOST_TIMES", 4)


def play(log: TextLog, first: int, last: int, every: int = 1) -> None:
    for iteration in range(first, last + 1, every):
        log.add(iteration, [{"response": f"text {iteration}"}])


@pytest.mark.usefixtures("four_times")
def test_of_a_long_run_every_second_then_every_fourth_iteration_is_kept(tmp_path):
    log = TextLog(tmp_path / "rollouts.jsonl", 0)
    play(log, 1, 4)
    assert kept(tmp_path / "rollouts.jsonl") == [1, 2, 3, 4]
    play(log, 5, 8)
    assert kept(tmp_path / "rollouts.jsonl") == [1, 3, 5, 7]
    play(log, 9, 10)
    assert kept(tmp_path / "rollouts.jsonl") == [1, 5, 9]
    looks = TextLog(tmp_path / "looks.jsonl", 0, first=0, every=10)
    play(looks, 0, 50, every=10)
    assert kept(tmp_path / "looks.jsonl") == [0, 20, 40]


@pytest.mark.usefixtures("four_times")
@pytest.mark.parametrize("checkpoint", [2, 4, 6])
def test_a_run_that_goes_on_from_a_checkpoint_keeps_what_it_would_have_kept(tmp_path, checkpoint):
    straight, resumed = tmp_path / "straight.jsonl", tmp_path / "resumed.jsonl"
    play(TextLog(straight, 0), 1, 10)
    # It had got further than its checkpoint when it was killed.
    play(TextLog(resumed, 0), 1, 7)
    log = TextLog(resumed, checkpoint)
    assert max(kept(resumed)) <= checkpoint
    play(log, checkpoint + 1, 10)
    assert resumed.read_text() == straight.read_text()


def test_a_new_run_leaves_no_file_before_its_first_text(tmp_path):
    TextLog(tmp_path / "rollouts.jsonl", 0)
    assert list(tmp_path.iterdir()) == []


def test_long_texts_lose_their_middle(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    long = "a" * 3000 + "b" * 3000
    TextLog(path, 0).add(1, [{"prompt": long, "turns": [{"role": "user", "text": long}]}])
    (row,) = read_rows(path)
    assert row["prompt"] == "a" * 1500 + " … " + "b" * 500
    assert row["turns"] == [{"role": "user", "text": row["prompt"]}]


def test_half_a_line_at_the_end_is_no_text_and_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "rollouts.jsonl"
    play(TextLog(path, 0), 1, 2)
    with path.open("a") as file:
        file.write('{"iteration": 3, "resp')
    assert kept(path) == [1, 2]
    log = TextLog(path, 2)
    play(log, 3, 3)
    assert kept(path) == [1, 2, 3]
    path.write_text('{"iteration"\n' + json.dumps({"iteration": 2}) + "\n")
    with pytest.raises(ConfigError, match="line 1 is not valid JSON"):
        read_rows(path)


class OneTask:
    """All that `question` asks of a task."""

    def opening(self, example: Example) -> tuple[Turn, ...]:
        return (Turn("user", example.prompt),)


class OneCore:
    task = OneTask()


def played(number: int, reward: float) -> PlayedEpisode:
    example = Example(f"e{number}", f"prompt {number}", ("reference",))
    said = Episode(example, (Turn("user", "x"), Turn("assistant", f"answer {number}")), n_opening=1)
    return PlayedEpisode(
        np.zeros(1, np.int32),
        np.ones(1, np.bool_),
        np.array([reward], np.float32),
        components={"half": reward / 2},
        said=said,
    )


@pytest.mark.parametrize(
    ("n", "wanted"), [(4, [-1.0, 0.0, 0.5, 2.0]), (2, [-1.0, 2.0]), (1, [-1.0]), (9, None)]
)
def test_the_lowest_and_the_highest_reward_are_kept_and_some_between(n, wanted):
    rewards = [0.5, 2.0, -1.0, 0.25, 0.0, 0.75]
    episodes = [played(i, reward) for i, reward in enumerate(rewards)]
    rows = spread_over_rewards(episodes, OneCore(), n)
    assert [row["reward"] for row in rows] == (wanted or sorted(rewards))
    assert rows[0] == {
        "id": "e2",
        "prompt": "prompt 2",
        "references": ["reference"],
        "response": "answer 2",
        "stop_reason": "end_of_turn",
        "reward": -1.0,
        "metrics": {"half": -0.5},
    }


def test_episodes_of_which_only_tokens_are_known_are_not_kept():
    assert spread_over_rewards([], OneCore()) == []
    bare = PlayedEpisode(np.zeros(1, np.int32), np.ones(1, np.bool_), np.ones(1, np.float32))
    assert [row["id"] for row in spread_over_rewards([bare, played(3, 0.0)], OneCore())] == ["e3"]
