"""What hangs is spoken about while it does, and given up when its time is over."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from agents import TextPPO
from textenv import RewardResult
from textenv.deadlines import REWARD_VARIABLE, call_within, limit_rewards, reward_limit_s
from textenv.errors import ConfigError, DeadlineError, RewardError
from textenv.rewards import score
from textenv.rewards.base import call_reward

pytestmark = pytest.mark.timeout(60)

needs_signals = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX alone")


def sleeps(episodes: Any) -> Any:
    time.sleep(50)


def computes(episodes: Any) -> Any:
    while True:
        pass


def waits_for_a_lock(episodes: Any) -> Any:
    lock = threading.Lock()
    with lock:
        lock.acquire()


def catches_all_errors(episodes: Any) -> Any:
    while True:
        try:
            time.sleep(50)
        except Exception:
            continue


def waits_for_a_process(episodes: Any) -> Any:
    subprocess.run([sys.executable, "-c", "import time; time.sleep(50)"], check=False)


def has_an_alarm_of_its_own(episodes: Any) -> Any:
    signal.signal(signal.SIGALRM, lambda *_: None)
    time.sleep(50)


@needs_signals
@pytest.mark.parametrize(
    "hangs",
    [sleeps, computes, waits_for_a_lock, catches_all_errors, waits_for_a_process,
     has_an_alarm_of_its_own],
    ids=lambda hangs: hangs.__name__,
)  # fmt: skip
def test_a_reward_that_hangs_is_given_up(hangs):
    before = signal.getsignal(signal.SIGALRM)
    try:
        with limit_rewards(0.2), pytest.raises(DeadlineError) as caught:
            score(hangs, ["a"], ["r"])
    finally:
        signal.signal(signal.SIGALRM, before)
    words = str(caught.value)
    assert f"'{hangs.__name__}' did not come to an end within 0.2 s" in words
    assert "reward_timeout_s" in words
    assert isinstance(caught.value, RewardError)


def test_what_ends_in_time_is_left_alone():
    with limit_rewards(0.2):
        for _ in range(3):
            assert score(lambda episodes: [1.0] * len(episodes), ["a"], ["r"]).total == [1.0]
        time.sleep(0.4)  # nothing comes late
        assert call_within(lambda: 7, "it", 0.2) == 7


def test_what_listened_to_the_signal_before_listens_again_and_hears_others():
    if not hasattr(signal, "SIGURG"):
        pytest.skip("POSIX alone")
    heard: list[int] = []
    before = signal.signal(signal.SIGURG, lambda number, frame: heard.append(number))
    try:
        call_within(lambda: os.kill(os.getpid(), signal.SIGURG), "it", 30.0)
        os.kill(os.getpid(), signal.SIGURG)
        assert heard == [signal.SIGURG] * 2
    finally:
        signal.signal(signal.SIGURG, before)


@needs_signals
def test_of_a_sum_the_part_that_hangs_is_named_and_its_time_is_the_sums(caplog):
    with limit_rewards(0.3), pytest.raises(DeadlineError, match=r"Reward 'slow'"):
        score({"exact_match": 1.0, "slow": {"reward": sleeps}}, ["a"], ["r"])


@needs_signals
def test_the_inner_of_two_limits_ends_the_inner_call_alone():
    def outer() -> str:
        with pytest.raises(DeadlineError, match="The inner"):
            call_within(lambda: time.sleep(50), "the inner", 0.1, kind="inner")
        return "went on"

    assert call_within(outer, "the outer", 30.0, kind="outer") == "went on"


@needs_signals
def test_the_outer_of_two_limits_ends_both():
    def outer() -> None:
        call_within(lambda: time.sleep(50), "the inner", 30.0, kind="inner")

    with pytest.raises(DeadlineError, match="The outer"):
        call_within(outer, "the outer", 0.1, kind="outer")
    assert call_within(lambda: 7, "the next", 30.0) == 7


def test_it_is_said_while_it_waits(caplog):
    with caplog.at_level(logging.WARNING, "textenv.deadlines"):
        call_within(lambda: time.sleep(0.7), "reward 'slow'", 30.0, say_every_s=0.2)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) >= 2
    assert all("Still waiting for reward 'slow'" in message for message in said)
    assert "it may take 30 s" in said[0]


def test_a_thread_is_spoken_about_and_not_interrupted(caplog):
    done: list[str] = []

    def work() -> None:
        call_within(lambda: time.sleep(0.4), "reward 'mine'", 0.1, say_every_s=0.05)
        done.append("came to its end")

    with caplog.at_level(logging.WARNING, "textenv.deadlines"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(20)
    assert done == ["came to its end"]
    assert "Still waiting for reward 'mine'" in caplog.text


def test_how_long_it_may_take_is_an_option_or_a_variable(monkeypatch):
    monkeypatch.delenv(REWARD_VARIABLE, raising=False)
    assert reward_limit_s() == 3600
    with limit_rewards(5.0):
        assert reward_limit_s() == 5
        monkeypatch.setenv(REWARD_VARIABLE, "70")  # a run that is resumed with more time
        assert reward_limit_s() == 70
    for wrong in ("0", "-1", "soon", "nan", "inf"):
        monkeypatch.setenv(REWARD_VARIABLE, wrong)
        with pytest.raises(ConfigError, match="number of seconds"):
            reward_limit_s()


class Late:
    """A reward whose scores are waited for while slots play on."""

    name = "late"
    waits = True

    def __call__(self, episodes: Any) -> RewardResult:
        time.sleep(50)
        return RewardResult(np.zeros(len(episodes)))


@pytest.mark.parametrize("reward", [sleeps, Late()], ids=["at once", "late"])
@needs_signals
def test_a_training_whose_reward_hangs_ends(reward):
    env = gym.make_vec("TextQA-v0", num_envs=2,
                       reward=reward, max_new_tokens=4)  # fmt: skip
    agent = TextPPO("LMPolicy", env, n_episodes=2, batch_size=2, n_envs=2, reward_timeout_s=0.3)
    with pytest.raises(DeadlineError, match=r"did not come to an end within 0\.3 s"):
        agent.learn(total_episodes=2, log_interval=None)


@needs_signals
def test_a_rollout_that_takes_too_long_ends():
    env = gym.make_vec("TextQA-v0", num_envs=2, reward=sleeps, max_new_tokens=4)
    agent = TextPPO("LMPolicy", env, n_episodes=2, batch_size=2, n_envs=2, rollout_timeout_s=0.3)
    with pytest.raises(DeadlineError, match=r"A rollout of 2 episodes .*rollout_timeout_s"):
        agent.learn(total_episodes=2, log_interval=None)


_HANGS_LATE = """
import threading, time
import numpy as np
from textenv.daemon_pool import DaemonPool
DaemonPool(1, "reward").submit(lambda: time.sleep(1000))
print("done", flush=True)
"""


def test_a_thread_that_hangs_does_not_hold_the_process_up():
    done = subprocess.run(
        [sys.executable, "-c", _HANGS_LATE], check=True, capture_output=True, text=True, timeout=50
    )
    assert done.stdout == "done\n"


def test_a_reward_that_fails_is_still_told_as_before():
    def fails(episodes: Any) -> Any:
        raise ValueError("no such word")

    with pytest.raises(RewardError, match="raised ValueError: no such word"):
        call_reward(fails, [])
