"""A return far outside of all others is held within bounds; no other is changed."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest

from agents.ppo.ppo import TextPPO
from agents.ppo.returns import ReturnBounds, ReturnScale, bound_returns
from textenv import RewardResult


def held(returns: Any, bounds: Any) -> Any:
    return np.clip(returns, *bounds)


ORDINARY = {
    "graded": np.random.default_rng(0).random(64),
    "few successes": np.arange(64) < 6.0,
    "negative": -np.random.default_rng(1).random(64) * 1e4,
    "normal": np.random.default_rng(2).normal(size=64),
    "skewed": np.random.default_rng(3).exponential(size=64),
    "equal": np.full(64, 0.7),
    "two of two sizes": np.repeat([0.0, 1000.0], 32),
    "one success": np.arange(64) < 1.0,
    "too few to tell": np.array([0.0, 1.0, 1e6]),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_returns_are_not_changed(name, caplog):
    returns = np.asarray(ORDINARY[name], np.float64)
    bounds = ReturnBounds().see(returns)
    assert (held(returns, bounds) == returns).all()
    assert not caplog.records


@pytest.mark.parametrize("outliers", [[1e6], [-1e6], [1e30], [1e6, 2e6], [1e6, -1e6]])
@pytest.mark.parametrize("others", ["graded", "equal", "normal"])
def test_one_or_two_far_outside_are_held_near_the_others(outliers, others, caplog):
    returns = np.concatenate([ORDINARY[others], outliers])
    bounds = ReturnBounds().see(returns)
    low, high = ORDINARY[others].min(), ORDINARY[others].max()
    assert (held(ORDINARY[others], bounds) == ORDINARY[others]).all()
    assert high - 12 < bounds[0] <= low
    assert high <= bounds[1] < low + 12
    assert "stands far outside of the others" in caplog.text
    assert f"{max(outliers, key=abs):g}" in caplog.text


def test_what_comes_again_is_what_the_task_pays():
    """A game that is won once in 64 times, for 1000."""
    bounds, won = ReturnBounds(), np.where(np.arange(64) == 0, 1000.0, 0.0)
    assert [bounds.see(won)[1] for _ in range(4)] == [10.0, 10.0, 1000.0, 1000.0]


def test_a_failure_is_no_outlier_once_nearly_all_succeed(caplog):
    bounds = ReturnBounds()
    bounds.see(ORDINARY["graded"])
    late = np.where(np.arange(64) == 5, 0.0, 1.0)
    assert (held(late, bounds.see(late)) == late).all()
    assert not caplog.records


def test_what_is_too_much_is_taken_off_the_token_that_was_paid_most():
    rewards = np.array([0.25, 0.0, 1e6, 0.5], np.float32)
    assert bound_returns(rewards, (-3.0, 3.0)).tolist() == [0.25, 0.0, 2.25, 0.5]
    assert bound_returns(-rewards, (-3.0, 3.0)).tolist() == [-0.25, 0.0, -2.25, -0.5]
    assert bound_returns(rewards, (-np.inf, np.inf)) is rewards


def test_the_scale_of_equal_returns_is_one_and_any_other_is_their_deviation():
    for value in (0.0, 0.7, 1e6):
        scale = ReturnScale()
        scale.see(np.full(64, value) * (1 + 1e-9 * (np.arange(64) % 2)))
        assert scale.std == 1.0
    for size in (1e-6, 1.0, 1e6):
        scale, returns = ReturnScale(), size * np.random.default_rng(0).random((3, 64))
        for rollout in returns:
            scale.see(rollout)
        assert scale.std == pytest.approx(returns.std())


@pytest.mark.parametrize("scaled", [False, True])
def test_a_critic_that_saw_one_return_of_a_million_learns_like_another(
    save_model, make_agent, make_env, scaled
):
    found = []
    for first in (0.5, 1e6):
        paid = [first]

        def reward(episodes: Any, paid: list[float] = paid) -> RewardResult:
            totals = np.array([len(e.input_ids) % 5 / 4 for e in episodes])
            if paid:
                totals[0] = paid.pop()
            return RewardResult(totals)

        agent = make_agent(
            make_env(16, reward=reward, max_new_tokens=2), {"model": save_model(spread=0.02)},
            n_episodes=16, batch_size=16, learning_rate=1e-3, scale_rewards=scaled,
            critic_warmup=99, n_epochs=1,
        )  # fmt: skip
        rows: list[Any] = []
        agent.learn(total_episodes=16 * 6, after_iteration=lambda m, r=rows: not r.append(dict(m)))
        found.append([row["train/value_loss"] for row in rows])
    assert found[1][-1] < 2 * found[0][-1] + 0.02


def test_the_state_is_saved_as_plain_numbers(make_agent, make_env, tmp_path):
    agent = make_agent(make_env(reward=lambda es: RewardResult(np.arange(len(es)) * 7.0)))
    agent.learn(total_episodes=24)
    agent.save(tmp_path)
    state = json.loads((tmp_path / "agent.json").read_text())["state"]["return_scale"]
    assert state == agent.return_scale.state_dict()
    assert state["count"] == 24
    loaded = TextPPO.load(tmp_path, device="cpu")
    assert loaded.return_scale.state_dict() == state


@pytest.fixture(autouse=True)
def _log_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
