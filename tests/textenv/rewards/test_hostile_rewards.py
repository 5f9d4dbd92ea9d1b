"""What code of others raises, returns and does to its arguments when it is called as a reward."""

from __future__ import annotations

import pytest

from textenv.deadlines import call_within
from textenv.errors import DeadlineError, RewardError
from textenv.examples import Episode, Example
from textenv.rewards.base import call_reward


class OwnError(BaseException):
    """No subclass of Exception."""


class UnspeakableError(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        raise ValueError("no")


class Unspeakable:
    """Nothing can be written of it."""

    def __repr__(self) -> str:
        raise ValueError("no")


@pytest.fixture
def episodes():
    return [Episode(Example(str(i), "a prompt", ("a text",)), (), "end") for i in range(3)]


@pytest.mark.parametrize("error", [OwnError("x"), GeneratorExit(), SystemExit(0), MemoryError()])
def test_whatever_one_raises_is_an_error_of_the_reward(episodes, error):
    def reward(episodes):
        raise error

    with pytest.raises(RewardError, match=f"raised {type(error).__name__}.*scoring '0'"):
        call_reward(reward, episodes)


def test_an_error_without_a_text_is_told_by_its_kind(episodes):
    def reward(episodes):
        raise UnspeakableError

    with pytest.raises(RewardError, match=r"raised UnspeakableError: \(its text cannot be made\)"):
        call_reward(reward, episodes)


@pytest.mark.parametrize(
    "returned", [[10**400] * 3, [10**5000] * 3, Unspeakable(), 10**5000], ids="abcd"
)
def test_what_is_no_number_is_refused_though_it_cannot_be_written(episodes, returned):
    with pytest.raises(RewardError, match="number"):
        call_reward(lambda episodes: returned, episodes)


def test_one_that_empties_its_list_empties_no_other(episodes):
    def reward(episodes):
        episodes.clear()
        return []

    with pytest.raises(RewardError, match=r"of shape \(0,\) for 3 episodes"):
        call_reward(reward, episodes)
    assert len(episodes) == 3


def test_the_users_interrupt_and_the_end_of_a_rollouts_time_pass(episodes):
    def interrupted(episodes):
        raise KeyboardInterrupt

    def slow(episodes):
        while True:
            pass

    with pytest.raises(KeyboardInterrupt):
        call_reward(interrupted, episodes)
    with pytest.raises(DeadlineError, match="The rollout did not come to an end"):
        call_within(lambda: call_reward(slow, episodes), "the rollout", 0.2, kind="rollout")
