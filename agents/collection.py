"""Plays a fixed number of episodes to their end, with slots that go on by themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from agents.buffer import CollectedEpisode
from agents.policy import LMPolicy
from agents.vec_env import TextVecEnv
from textenv.errors import RewardError

Infos = list[dict[str, Any]]
StepHook = Callable[[int, NDArray[np.float32], NDArray[np.bool_], Infos], bool]


def collect_episodes(
    env: VecEnv, policy: LMPolicy, n_episodes: int, on_step: StepHook, group_size: int = 1
) -> list[CollectedEpisode] | None:
    """Starts exactly `n_episodes` episodes and finishes all of them.

    Which episodes are started does not depend on how long they turn out to be, so short ones are
    not favoured, as they would be by taking the first that end. A slot that ends takes its next
    episode at once; when all have been started it rests. Where the policy says so
    (`LMPolicy.reading_share`), slots of a text environment that have a prompt or a turn to read
    wait for one another.

    Args:
        env: Slots of a token-level text environment; it is reset first.
        policy: Writes the tokens. One that has no `act_with_logprobs` writes them by `act`, and
            its episodes have no log-probabilities.
        n_episodes: How many.
        on_step: Called after each step with the number of tokens written and every slot's reward,
            end and info, which are 0, False and empty where a slot rests; False stops.
        group_size: Episodes of each prompt, played by neighbouring slots; `n_episodes` and the
            number of slots are multiples of it. Above 1, each slot's share of the episodes is
            fixed, so that every group becomes complete.

    Returns:
        The episodes in the order in which they ended, or None if stopped. Within
        `TextVecEnv.masking_invalid` those that could not be scored are among them.
    """
    if group_size > 1:
        env.set_options({"group_size": group_size})
    observation = env.reset()
    assert isinstance(observation, dict)
    n_slots, window = observation["input_ids"].shape
    started = min(n_slots, n_episodes)
    group = np.arange(n_slots) // group_size
    active = group < n_episodes // group_size
    action_mask = np.zeros((n_slots, window), np.bool_)
    paid = np.zeros((n_slots, window), np.float32)
    logprobs = np.zeros((n_slots, window), np.float32)
    has_logprobs = hasattr(policy, "act_with_logprobs")
    can_wait = isinstance(env, TextVecEnv) and hasattr(policy, "reading_share")
    share = policy.reading_share if can_wait else 0.0
    reading = np.zeros(n_slots, np.bool_)
    episodes: list[CollectedEpisode] = []
    _rest(env, ~active)
    while active.any():
        if reading.any() and reading.sum() >= share * active.sum():
            assert isinstance(env, TextVecEnv)
            env.wake(reading)
            reading[:] = False
        rows = np.flatnonzero(active & ~reading)
        lengths = observation["attention_mask"][rows].sum(axis=1, dtype=np.int64)
        ids = observation["input_ids"][rows]
        actions = np.zeros(n_slots, np.int64)
        if has_logprobs:
            actions[rows], logprobs[rows, lengths] = policy.act_with_logprobs(ids, lengths, rows)
        else:
            actions[rows] = policy.act(ids, lengths, rows)
        observation, rewards, dones, infos = env.step(actions)
        assert isinstance(observation, dict)
        # Idle slots of other vector environments play on: nothing of it counts.
        rewards, dones = np.where(active, rewards, np.float32(0.0)), dones & active
        infos = [info if counts else {} for info, counts in zip(infos, active, strict=True)]
        if share:
            # What a slot has to read now is more than the token that it wrote.
            now = observation["attention_mask"][rows].sum(axis=1, dtype=np.int64)
            reading[rows] = dones[rows] | (now != lengths + 1)
        action_mask[rows, lengths] = True
        paid[rows, lengths] = rewards[rows]
        for slot in np.flatnonzero(dones):
            final = infos[slot]["terminal_observation"]
            length = int(final["attention_mask"].sum())
            episodes.append(
                CollectedEpisode(
                    final["input_ids"][:length].copy(),
                    action_mask[slot, :length].copy(),
                    paid[slot, :length].copy(),
                    bool(infos[slot].get("TimeLimit.truncated", False)),
                    _invalid_reason(infos[slot]),
                    int(group[slot]),
                    logprobs[slot, :length].copy() if has_logprobs else None,
                )
            )
            action_mask[slot] = False
            paid[slot] = logprobs[slot] = 0.0
            # Neighbours play the same prompts, so each has to play as many as the others.
            group[slot] = group[slot] + n_slots // group_size if group_size > 1 else started
            started += 1
            active[slot] = group[slot] < n_episodes // group_size
        if not on_step(len(rows), rewards, dones, infos):
            return None
        reading &= active
        _rest(env, ~active | reading)
    return episodes


def is_scored(info: Mapping[str, Any]) -> bool:
    """Tells whether an info is that of an episode that ended with a score."""
    return "reward_components" in info and info.get("valid", True)


def take_valid(
    episodes: list[CollectedEpisode], max_invalid_share: float
) -> list[CollectedEpisode]:
    """Returns the episodes that were scored.

    Raises:
        RewardError: Too many were not.
    """
    valid = [episode for episode in episodes if episode.invalid_reason is None]
    n_invalid = len(episodes) - len(valid)
    if not valid or n_invalid > max_invalid_share * len(episodes):
        reason = next(e.invalid_reason for e in episodes if e.invalid_reason is not None)
        raise RewardError(
            f"{n_invalid} of the {len(episodes)} episodes of a rollout could not be scored; "
            f"max_invalid_share = {max_invalid_share:g} allows no more than that share, and never "
            f"all. The first was {reason}"
        )
    return valid


def _invalid_reason(info: dict[str, Any]) -> str | None:
    if info.get("valid", True):
        return None
    return f"example '{info['example_id']}': {info['invalid_reason']}"


def _rest(env: VecEnv, slots: Any) -> None:
    """Spares a text environment the steps of slots that have none to take; others cannot rest."""
    if isinstance(env, TextVecEnv) and slots.any():
        env.rest(slots)
