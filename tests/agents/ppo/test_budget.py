"""A budget of learn is spent and no more, and the learning rate follows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from textenv import ConfigError


def test_learn_takes_one_budget(make_agent):
    agent = make_agent()
    for budgets in ({}, {"total_timesteps": 10, "total_episodes": 10}):
        with pytest.raises(ConfigError, match="either"):
            agent.learn(**budgets)
    assert agent.learn(total_timesteps=0).n_episodes_done == 0


def test_learning_goes_on_where_it_stopped(make_agent):
    agent = make_agent(n_episodes=6)
    agent.learn(total_episodes=12)
    tokens = agent.num_timesteps
    agent.learn(total_episodes=6, reset_num_timesteps=False)
    assert agent.n_episodes_done == 18
    assert agent.num_timesteps > tokens
    assert agent.n_iterations == 3
    agent.learn(total_timesteps=40, reset_num_timesteps=False)
    tokens, done = agent.num_timesteps, agent.n_episodes_done
    assert done > 18
    agent.learn(total_episodes=6)
    assert agent.n_episodes_done == 6
    assert agent.num_timesteps < tokens


def test_time_is_a_budget_too(make_agent, monkeypatch):
    agent = make_agent(
        learning_rate=1e-3, learning_rate_end=0.1, learning_rate_warmup=0, critic_warmup=0
    )
    now = 100.0

    def clock() -> float:
        nonlocal now
        now += 1e-6
        return now

    def wait(metrics: Any) -> bool:
        nonlocal now
        now += 10.0
        rates.append(metrics["train/learning_rate"])
        return True

    rates: list[float] = []
    monkeypatch.setattr("agents.ppo.budget.time.perf_counter", clock)
    agent.learn(total_episodes=10**6, max_seconds=45.0, after_iteration=wait)
    # A fifth iteration would end after 50 seconds.
    assert rates == pytest.approx([1e-3 * (1 - 0.9 * s / 45) for s in (0, 10, 20, 30)], rel=1e-3)


def test_the_learning_rate_falls_with_the_budget_and_the_critics_is_higher(make_agent):
    agent = make_agent(
        learning_rate=1e-3, learning_rate_end=0.0, learning_rate_warmup=0, critic_warmup=0,
        value_lr_factor=5.0,
    )  # fmt: skip
    seen = []

    def note(metrics: Any) -> bool:
        seen.append([metrics["train/learning_rate"]])
        seen[-1] += [group["lr"] for group in agent.policy.optimizer.param_groups]
        return True

    agent.learn(total_episodes=48, after_iteration=note)
    rates = [1e-3, 7.5e-4, 5e-4, 2.5e-4]
    assert np.array(seen) == pytest.approx(np.array([[rate, rate, 5 * rate] for rate in rates]))
