"""A reward that waits for an answer holds no slot up, and pays what it would have paid."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from agents.ppo.rollout import collect_episodes
from agents.ppo.vec_env import TextVecEnv
from textenv import RewardResult
from textenv.errors import RewardError
from textenv.rewards import load_reward
from textenv.rewards.base import waits

END = 2


class Remote:
    """Pays by the words of a response, after an answer that takes its time."""

    def __init__(self, waits: bool, pause_s: float = 0.0, fails_at: int | None = None) -> None:
        self.waits = waits
        self.pause_s = pause_s
        self.fails_at = fails_at
        self.n_scored = 0
        self.batches: list[int] = []
        self.threads: set[str] = set()

    def __call__(self, episodes: Any) -> RewardResult:
        time.sleep(self.pause_s)
        self.batches.append(len(episodes))
        self.threads.add(threading.current_thread().name)
        self.n_scored += len(episodes)
        if self.fails_at is not None and self.n_scored > self.fails_at:
            raise ValueError("the endpoint is gone")
        scores = np.array([float(len(e.response.split())) for e in episodes])
        valid = scores != 3
        reasons = dict.fromkeys(np.flatnonzero(~valid).tolist(), "three is no number")
        return RewardResult(scores, {"words": scores}, valid, reasons)


class Writer:
    """Writes responses of lengths that depend on the slot and on how many it has written."""

    reading_share = 0.0

    def __init__(self, n_slots: int) -> None:
        self._left = [0] * n_slots
        self._n = [0] * n_slots

    def act(self, ids: Any, lengths: Any, rows: Any, deterministic: bool = False) -> Any:
        actions = []
        for row in rows:
            if not self._left[row]:
                self._left[row] = 1 + (3 * row + 2 * self._n[row]) % 6
                self._n[row] += 1
            self._left[row] -= 1
            actions.append(7 if self._left[row] else END)
        return np.array(actions), np.zeros(len(rows), np.float32)


def collect(slots: TextVecEnv, n: int) -> tuple[list[Any], list[Any]]:
    """Returns the episodes, and the (reward, info) of each end that the hook was told of."""
    ends: list[Any] = []

    def note(n_tokens: int, rewards: Any, dones: Any, infos: Any) -> bool:
        ends.extend((float(rewards[i]), infos[i]) for i in np.flatnonzero(dones))
        assert all(not info or done for info, done in zip(infos, dones, strict=True))
        return True

    slots.seed(0)
    with slots.masking_invalid():
        episodes = collect_episodes(slots, Writer(slots.num_envs), n, note)  # type: ignore[arg-type]
    assert episodes is not None
    return episodes, ends


def comparable(info: dict[str, Any]) -> str:
    observation = info["terminal_observation"]
    shown = {**info, "terminal_observation": observation["input_ids"].tolist()}
    if "episode" in info:
        shown["episode"] = {key: info["episode"][key] for key in "rl"}
    return str(sorted(shown.items()))


@pytest.mark.parametrize("pause_s", [0.0, 0.02])
def test_late_scores_are_those_of_the_step(make_env, pause_s):
    found = []
    for late in (False, True):
        reward = Remote(late, pause_s)
        slots = TextVecEnv(make_env(4, reward=reward))
        episodes, ends = collect(slots, 18)
        assert len(episodes) == len(ends) == reward.n_scored == 18
        assert any(name.startswith("reward") for name in reward.threads) == late
        assert slots.core.defer is None
        found.append((episodes, ends))
    (at_once, ends), (late_episodes, late_ends) = found
    for one, other in zip(at_once, late_episodes, strict=True):
        assert one.input_ids.tolist() == other.input_ids.tolist()
        np.testing.assert_array_equal(one.rewards, other.rewards)
        assert one.invalid_reason == other.invalid_reason
    assert {bool(e.invalid_reason) for e in at_once} == {True, False}
    told, told_late = (
        sorted((str(r), comparable(i)) for r, i in each) for each in (ends, late_ends)
    )
    assert told == told_late


def test_slots_go_on_while_an_answer_is_waited_for(make_env):
    answered = threading.Event()

    class Slow(Remote):
        def __call__(self, episodes: Any) -> RewardResult:
            assert answered.wait(timeout=30)
            return super().__call__(episodes)

    reward = Slow(waits=True)
    slots = TextVecEnv(make_env(2, reward=reward))
    n_steps = 0

    def note(n_tokens: int, rewards: Any, dones: Any, infos: Any) -> bool:
        nonlocal n_steps
        n_steps += n_tokens > 0
        if n_steps == 12:
            answered.set()
        return True

    with slots.masking_invalid():
        episodes = collect_episodes(slots, Writer(2), 8, note)  # type: ignore[arg-type]
    assert episodes is not None
    assert n_steps > 12
    # What ended meanwhile was asked for at once.
    assert reward.batches[0] == 1
    assert reward.batches[1] > 1


def test_an_error_of_the_reward_ends_the_collection(make_env):
    slots = TextVecEnv(make_env(2, reward=Remote(waits=True, fails_at=3)))
    with pytest.raises(RewardError, match="the endpoint is gone"):
        collect(slots, 8)
    assert slots.core.defer is None
    slots.core.reward = Remote(waits=True)
    assert len(collect(slots, 4)[0]) == 4


def test_an_episode_without_a_score_raises_where_it_is_not_masked(make_env):
    slots = TextVecEnv(make_env(4, reward=Remote(waits=True)))
    with pytest.raises(RewardError, match="three is no number"):
        collect_episodes(slots, Writer(4), 18, lambda *_: True)  # type: ignore[arg-type]


def test_dense_pay_and_listeners_are_served_at_once(make_env):
    slots = TextVecEnv(make_env(2, reward=Remote(waits=True)))
    slots.core.end_listeners.append(lambda *_: None)
    assert not slots.core.can_defer
    collect(slots, 4)
    assert slots.core.reward.threads == {"MainThread"}


def test_a_part_that_waits_makes_the_whole_wait():
    judge = {"judge": {"model": "m", "base_url": "http://localhost:1/v1"}}
    assert waits(load_reward(judge))
    assert waits(load_reward({"rougeL": 1.0, "judge": {"weight": 0.5, **judge["judge"]}}))
    assert waits(load_reward({"gate": {"of": judge, "when": "rougeL", "at_least": 0.1}}))
    assert not waits(load_reward({"rougeL": 1.0, "chrf": 0.5}))
