"""Advantages follow the recurrence over the agent's tokens alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import RolloutBuffer

from agents.ppo.advantages import compute_gae, compute_grpo, compute_returns, compute_rloo, whiten


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float64)


def test_three_steps_by_hand() -> None:
    # delta_2 = 1 - 0.4 = 0.6                A_2 = 0.6
    # delta_1 = 0.9 * 0.4 - 0.2 = 0.16       A_1 = 0.16 + 0.45 * 0.6  = 0.43
    # delta_0 = 0.5 + 0.9 * 0.2 - 0.1 = 0.58 A_0 = 0.58 + 0.45 * 0.43 = 0.7735
    mask = torch.ones(1, 3, dtype=torch.bool)
    advantages, returns = compute_gae(row(0.5, 0, 1), row(0.1, 0.2, 0.4), mask, 0.9, 0.5)
    torch.testing.assert_close(advantages, row(0.7735, 0.43, 0.6))
    torch.testing.assert_close(returns, row(0.8735, 0.63, 1.0))


def test_lambda_does_not_decay_across_the_environments_tokens() -> None:
    # One token of the agent, two of the environment, one of the agent that is paid 1.
    # A_3 = 1 - 0.5 = 0.5; A_0 = (0.5 - 0.2) + 0.95 * 0.5 = 0.775.
    # Decayed through the gap it would be (0.5 - 0.2) + 0.95^3 * 0.5 = 0.7287.
    mask = torch.tensor([[True, False, False, True]])
    advantages, returns = compute_gae(row(0, 0, 0, 1), row(0.2, 7, 7, 0.5), mask, 1.0, 0.95)
    torch.testing.assert_close(advantages, row(0.775, 0, 0, 0.5))
    torch.testing.assert_close(returns, row(0.975, 0, 0, 1.0))


def test_with_zero_values_the_first_token_gets_one_decay_per_token_of_the_agent() -> None:
    mask = torch.tensor([[True, False, True, False, False, True]])
    advantages, _ = compute_gae(row(0, 0, 0, 0, 0, 1), torch.zeros(1, 6).double(), mask, 0.9, 0.5)
    torch.testing.assert_close(advantages, row(0.2025, 0, 0.45, 0, 0, 1))


def test_a_reward_on_the_environments_tokens_belongs_to_the_agents_token_before() -> None:
    mask = torch.tensor([[False, True, False, True, False]])
    values = row(3, 0.1, 3, 0.2, 3)
    spread, _ = compute_gae(row(0, 0.25, 0.25, 0.5, 0.5), values, mask, 1.0, 0.95)
    joined, _ = compute_gae(row(0, 0.5, 0, 1.0, 0), values, mask, 1.0, 0.95)
    torch.testing.assert_close(spread, joined)


def test_a_cut_off_episode_is_continued_by_its_last_value_and_a_finished_one_is_not() -> None:
    rewards, values = row(0, 1).repeat(2, 1), row(0.5, 0.5).repeat(2, 1)
    mask = torch.ones(2, 2, dtype=torch.bool)
    last_values = torch.tensor([2.0, 0.0]).double()
    advantages, _ = compute_gae(rewards, values, mask, 0.5, 1.0, last_values)
    # A_1 = 1 + 0.5 * 2 - 0.5 = 1.5; A_0 = 0.5 * 0.5 - 0.5 + 0.5 * 1.5 = 0.5
    torch.testing.assert_close(advantages[0], row(0.5, 1.5)[0])
    finished, _ = compute_gae(rewards[1:], values[1:], mask[1:], 0.5, 1.0)
    torch.testing.assert_close(advantages[1:], finished)


def test_last_values_follow_the_last_token_of_each_row_in_a_ragged_batch() -> None:
    rng = torch.Generator().manual_seed(0)
    rewards, values = torch.rand(2, 3, 8, generator=rng, dtype=torch.float64)
    lengths, last_values = torch.tensor([8, 3, 5]), torch.tensor([1.0, 2.0, 3.0]).double()
    rewards[torch.arange(8) >= lengths[:, None]] = 0
    mask = torch.arange(8) < lengths[:, None]
    together, _ = compute_gae(rewards, values, mask, 0.9, 0.8, last_values)
    for i, n in enumerate(lengths.tolist()):
        alone, _ = compute_gae(
            rewards[i : i + 1, :n],
            values[i : i + 1, :n],
            mask[i : i + 1, :n],
            0.9,
            0.8,
            last_values[i : i + 1],
        )
        torch.testing.assert_close(together[i : i + 1, :n], alone)
        assert not together[i, n:].any()


def test_a_row_without_any_token_of_the_agent_has_none_to_credit() -> None:
    mask = torch.zeros(1, 3, dtype=torch.bool)
    for result in compute_gae(row(1, 1, 1), row(1, 1, 1), mask, 1.0, 0.95):
        assert not result.any()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 10))
def test_inserting_environment_tokens_leaves_the_agents_advantages_unchanged(
    seed: int, n_actions: int, n_inserted: int
) -> None:
    rng = np.random.default_rng(seed)
    rewards, values = rng.normal(size=(2, n_actions))
    where = np.sort(rng.choice(n_actions + n_inserted, n_actions, replace=False))
    mask = torch.zeros(1, n_actions + n_inserted, dtype=torch.bool)
    mask[0, where] = True
    long_rewards = torch.zeros(mask.shape, dtype=torch.float64)
    long_rewards[mask] = torch.from_numpy(rewards)
    long_values = torch.from_numpy(rng.normal(size=tuple(mask.shape)))
    long_values[mask] = torch.from_numpy(values)
    plain = compute_gae(
        torch.from_numpy(rewards)[None],
        torch.from_numpy(values)[None],
        torch.ones(1, n_actions, dtype=torch.bool),
        0.97,
        0.9,
    )
    inserted = compute_gae(long_rewards, long_values, mask, 0.97, 0.9)
    for short, long in zip(plain, inserted, strict=True):
        torch.testing.assert_close(long[mask], short[0])
        assert not long[~mask].any()


def test_complete_episodes_agree_with_stable_baselines3() -> None:
    n_steps, n_envs = 9, 4
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(2, n_steps, n_envs)).astype(np.float32)
    buffer = RolloutBuffer(
        n_steps,
        spaces.Box(0, 1, (1,)),
        spaces.Discrete(2),
        "cpu",
        gae_lambda=0.95,
        gamma=0.99,
        n_envs=n_envs,
    )
    zeros = np.zeros((n_envs, 1))
    for t in range(n_steps):
        starts = np.full(n_envs, t == 0)
        buffer.add(zeros, zeros, rewards[t], starts, torch.tensor(values[t]), torch.zeros(n_envs))
    buffer.compute_returns_and_advantage(torch.zeros(n_envs), np.ones(n_envs))
    advantages, returns = compute_gae(
        torch.tensor(rewards.T),
        torch.tensor(values.T),
        torch.ones(n_envs, n_steps, dtype=torch.bool),
        0.99,
        0.95,
    )
    torch.testing.assert_close(advantages.T, torch.tensor(buffer.advantages))
    torch.testing.assert_close(returns.T, torch.tensor(buffer.returns))


def test_whitened_values_have_mean_zero_and_unbiased_deviation_one_over_the_mask() -> None:
    # 1, 3, 5: mean 3, unbiased deviation sqrt((4 + 0 + 4) / 2) = 2.
    x = torch.tensor([[1.0, torch.nan, 3.0], [5.0, torch.inf, 100.0]])
    mask = torch.tensor([[True, False, True], [True, False, False]])
    torch.testing.assert_close(whiten(x, mask), torch.tensor([[-1.0, 0, 0], [1, 0, 0]]))
    torch.testing.assert_close(
        whiten(x, mask, shift_mean=False), torch.tensor([[0.5, 0, 1.5], [2.5, 0, 0]])
    )


def test_whitening_equals_stable_baselines3s_normalisation() -> None:
    x = torch.randn(50, generator=torch.Generator().manual_seed(0))
    expected = (x - x.mean()) / (x.std() + 1e-8)
    torch.testing.assert_close(whiten(x, torch.ones(50, dtype=torch.bool)), expected)


@pytest.mark.parametrize("shift_mean", [True, False])
def test_a_single_value_is_left_as_it_is(shift_mean: bool) -> None:
    x, mask = torch.tensor([3.0, 4.0]), torch.tensor([False, True])
    torch.testing.assert_close(whiten(x, mask, shift_mean=shift_mean), torch.tensor([0.0, 4.0]))


# Three episodes of one prompt and one alone; a turn of the environment stands between tokens.
GROUPS = torch.tensor([7, 7, 3, 7])
WRITTEN = torch.tensor([[0, 1, 0, 1], [0, 1, 0, 0], [0, 1, 1, 1], [0, 1, 0, 1]], dtype=torch.bool)
PAID = torch.tensor([[0.0, 0, 1, 0], [0.0, 2, 0, 0], [0.0, 0, 0, 9], [0.0, 1, 0, 5]])
RETURN_MINUS_MEAN = torch.tensor([-2.0, -1.0, 0.0, 3.0])  # of the returns 1, 2, 6; and 9 alone

ESTIMATORS = {
    "rloo": lambda paid, written, groups: compute_rloo(paid, written, groups),
    "grpo": lambda paid, written, groups: compute_grpo(paid, written, groups),
    "reinforce++": lambda paid, written, groups: whiten(
        compute_returns(paid, written, gamma=0.9), written
    ),
}


def test_rloo_takes_off_the_mean_of_the_others() -> None:
    # 1 - (2 + 6) / 2, 2 - (1 + 6) / 2, alone, 6 - (1 + 2) / 2
    expected = torch.tensor([-3.0, -1.5, 0.0, 4.5])[:, None] * WRITTEN
    torch.testing.assert_close(compute_rloo(PAID, WRITTEN, GROUPS), expected)


def test_grpo_divides_by_the_deviation_of_the_group_or_not() -> None:
    # squares 4 + 1 + 9 over two degrees of freedom
    expected = (RETURN_MINUS_MEAN / (7**0.5 + 1e-4))[:, None] * WRITTEN
    torch.testing.assert_close(compute_grpo(PAID, WRITTEN, GROUPS), expected)
    torch.testing.assert_close(
        compute_grpo(PAID, WRITTEN, GROUPS, scale_by_std=False),
        RETURN_MINUS_MEAN[:, None] * WRITTEN,
    )


def test_returns_discount_by_the_agents_tokens() -> None:
    expected = torch.tensor([[0, 1.0, 0, 0], [0, 2, 0, 0], [0, 2.25, 4.5, 9], [0, 3.5, 0, 5]])
    torch.testing.assert_close(compute_returns(PAID, WRITTEN, gamma=0.5), expected)


@pytest.mark.parametrize("estimate", [compute_rloo, compute_grpo])
def test_a_reward_that_a_whole_group_shares_changes_no_advantage(
    estimate: Callable[..., torch.Tensor],
) -> None:
    shared = torch.zeros_like(PAID)
    shared[:, 1] = torch.where(GROUPS == 7, 1000.0, -50.0)
    torch.testing.assert_close(
        estimate(PAID + shared, WRITTEN, GROUPS), estimate(PAID, WRITTEN, GROUPS)
    )


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_order_of_episodes_does_not_matter(name: str) -> None:
    order, estimate = torch.tensor([2, 0, 3, 1]), ESTIMATORS[name]
    torch.testing.assert_close(
        estimate(PAID[order], WRITTEN[order], GROUPS[order]),
        estimate(PAID, WRITTEN, GROUPS)[order],
    )


@pytest.mark.parametrize("name", ESTIMATORS)
def test_law_9_holds_without_a_critic(name: str) -> None:
    """Turns of the environment between tokens change no advantage of the agent's tokens."""
    estimate, times = ESTIMATORS[name], torch.tensor([0, 2, 5, 6])
    paid, written = torch.zeros(4, 8), torch.zeros(4, 8, dtype=torch.bool)
    paid[:, times], written[:, times] = PAID, WRITTEN
    wide = estimate(paid, written, GROUPS)
    torch.testing.assert_close(wide[:, times], estimate(PAID, WRITTEN, GROUPS))
    assert not wide[~written].any()


def test_whitening_over_processes_is_whitening_of_everything() -> None:
    """Two threads that add up their sums, as an all-reduce does."""
    x, mask = 1e3 + torch.arange(12.0).reshape(4, 3).square(), torch.ones(4, 3, dtype=torch.bool)
    mask[1, 2] = False
    barrier, sums = threading.Barrier(2, timeout=30), {}

    def part(rank: int) -> torch.Tensor:
        def all_reduce(own: torch.Tensor) -> torch.Tensor:
            sums[rank] = own
            barrier.wait()
            total = sums[0] + sums[1]
            barrier.wait()
            return total

        rows = slice(0, 1) if rank == 0 else slice(1, 4)
        return whiten(x[rows], mask[rows], reduce=all_reduce)

    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(part, range(2)))
    torch.testing.assert_close(torch.cat(parts), whiten(x, mask))
