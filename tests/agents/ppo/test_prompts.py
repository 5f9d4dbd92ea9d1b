"""Prompts are drawn without replacement, whatever the slots, groups and processes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from agents.ppo.distributed import Ranks
from agents.ppo.ppo import TextPPO
from agents.ppo.prompts import PromptOrder


def prompts_of(agent: TextPPO, n_iterations: int) -> list[list[tuple[int, ...]]]:
    """Returns the prompts of each iteration, by group."""
    found: list[list[tuple[int, ...]]] = []

    def note(_: Any) -> bool:
        episodes = sorted(agent.episodes, key=lambda e: e.group)
        found.append([tuple(e.input_ids[: e.n_prompt].tolist()) for e in episodes])
        return len(found) < n_iterations

    agent.learn(total_episodes=10**6, after_iteration=note, resume=True)
    return found


@pytest.mark.parametrize(("n_envs", "group_size"), [(4, 1), (10, 1), (40, 1), (4, 2), (12, 3)])
def test_every_prompt_comes_once_before_any_comes_again(make_agent, make_env, n_envs, group_size):
    env = make_env(n_envs)
    size = len(env.core.dataset())
    n_groups = 8
    agent = make_agent(
        env, n_episodes=n_groups * group_size, batch_size=32, n_epochs=1, group_size=group_size
    )
    n_iterations = -(-size // n_groups) + 1
    played = [prompt for row in prompts_of(agent, n_iterations) for prompt in row]
    groups = played[::group_size]
    assert [prompt for prompt in groups for _ in range(group_size)] == played
    assert set(Counter(groups[:size]).values()) == {1}
    assert groups[:size] != sorted(groups[:size])
    second = groups[size : 2 * size]
    assert set(Counter(second).values()) == {1}
    assert second != groups[: len(second)]


def test_the_order_depends_on_the_seed_and_not_on_the_slots(make_agent, make_env):
    found = [
        prompts_of(make_agent(make_env(n), seed=seed, batch_size=4), 2)
        for n, seed in ((4, 0), (7, 0), (4, 1))
    ]
    assert found[0] == found[1] != found[2]


def test_a_resumed_run_goes_on_in_the_same_order(make_agent, make_env, tmp_path):
    agent = make_agent(make_env(4), n_epochs=1)
    prompts_of(agent, 1)
    agent.save(tmp_path)
    wanted = prompts_of(agent, 2)
    loaded = TextPPO.load(tmp_path, env=make_env(6), device="cpu")
    loaded.set_logger(agent.logger)
    assert prompts_of(loaded, 2) == wanted


def test_by_choice_each_slot_draws_its_own(make_agent, make_env):
    env = make_env(4)
    agent = make_agent(env, n_episodes=60, n_epochs=1, prompts="independent", seed=3)
    states = env.random_states
    (played,) = prompts_of(agent, 1)
    assert len(set(played)) < 50
    assert env.random_states != states


def numbers_of(ranks: Ranks, size: int, n: int, seed: int = 5) -> list[int]:
    order = PromptOrder(seed, ranks)
    return [order.number(i, size) for i in range(n)]


def test_processes_share_one_order():
    parts = [numbers_of(Ranks(rank, 3), 12, 4) for rank in range(3)]
    assert sorted(n for part in parts for n in part) == list(range(12))
    together = [part[i] for i in range(4) for part in parts]
    assert together == numbers_of(Ranks(), 12, 12)


def test_sets_too_large_to_shuffle_are_drawn_from():
    found = numbers_of(Ranks(), 2**32, 1000)
    assert len(set(found)) == 1000
    assert max(found) > 2**31
    assert found == numbers_of(Ranks(), 2**32, 1000)


def test_another_number_of_processes_goes_on_after_what_was_played():
    order = PromptOrder(0, Ranks())
    state = {**order.state_dict(), "seed": 5, "drawn": [{"": 7}, {"": 8}], "groups": [9, 10]}
    order.load_state_dict(state)
    assert order.state_dict() == {**state, "drawn": [{"": 15}], "groups": [19]}
