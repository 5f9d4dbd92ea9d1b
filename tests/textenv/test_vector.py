"""The vector environment equals as many single ones, whatever the mode, and says what is wrong."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

import textenv
from textenv.errors import ConfigError, RewardError, UnknownNameError
from textenv.rewards import RewardResult

N = 3
MODES = [mode.name.lower() for mode in AutoresetMode]
END = 1
TEXTS = ("", "Which day?", "What food and where?", "Booked: 你好", "ok " * 99)


def make_pair(id: str, mode: str, n: int = N, **kwargs: Any):
    """Our vector environment, and Gymnasium's own of single environments."""
    theirs = gym.make_vec(
        id,
        num_envs=n,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode[mode.upper()]},
        **kwargs,
    )
    ours = gym.make_vec(id, num_envs=n, autoreset_mode=mode, **kwargs)
    return ours, theirs


def assert_equal(found: Any, expected: Any) -> None:
    """Equal values of equal types and shapes, through dicts, tuples and object arrays."""
    assert type(found) is type(expected)
    if isinstance(found, dict):
        assert found.keys() == expected.keys()
        for key in found:
            assert_equal(found[key], expected[key])
    elif isinstance(found, tuple):
        for a, b in zip(found, expected, strict=True):
            assert_equal(a, b)
    elif isinstance(found, np.ndarray):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        if found.dtype == object:
            for a, b in zip(found, expected, strict=True):
                assert_equal(a, b)
        else:
            np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


def play_both(ours, theirs, mode: str, n_steps: int, seed: int = 0) -> int:
    """Steps both with the same random actions; returns the number of episodes that ended."""
    rng = np.random.default_rng(seed)
    n, space = ours.num_envs, ours.single_action_space
    level = ours.unwrapped.core.action_level
    size = getattr(space, "n", 0)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"]
    assert_equal(ours.reset(seed=seed), theirs.reset(seed=seed))
    ended = 0
    for _ in range(n_steps):
        if level == "text":
            actions = tuple(TEXTS[i] for i in rng.integers(len(TEXTS), size=n))
        elif level == "select":
            actions = rng.integers(size, size=n)
        else:
            actions = np.where(rng.random(n) < 0.2, END, rng.integers(size, size=n))
        found = ours.step(actions)
        assert_equal(found, theirs.step(actions))
        done = found[2] | found[3]
        ended += done.sum()
        if mode == "disabled" and done.any():
            assert_equal(
                ours.reset(options={"reset_mask": done.copy()}),
                theirs.reset(options={"reset_mask": done.copy()}),
            )
    return int(ended)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("id", textenv.registered_ids())
def test_n_slots_equal_n_single_environments(id, mode):
    ours, theirs = make_pair(id, mode, action_level="token", max_new_tokens=7)
    assert play_both(ours, theirs, mode, n_steps=90) >= 2 * N


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", ["text", "select"])
@pytest.mark.parametrize("id", ["TextDialogue-v0", "TextDialogueSelectHard-v0"])
def test_n_slots_equal_n_single_environments_at_every_level(id, level, mode):
    ours, theirs = make_pair(id, mode, action_level=level)
    assert play_both(ours, theirs, mode, n_steps=24) >= 2 * N


def test_gymnasiums_own_modes_are_taken_as_well_as_their_names():
    for mode in AutoresetMode:
        env = gym.make_vec("TextQA-v0", num_envs=1, autoreset_mode=mode)
        assert env.metadata["autoreset_mode"] is mode


@pytest.mark.parametrize("actions", [5, None, "ab", ("a",)])
def test_at_text_level_a_text_a_slot_is_needed(actions):
    env = gym.make_vec("TextQA-v0", num_envs=2, action_level="text")
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="one text a slot, 2 of them"):
        env.step(actions)


# Groups.


def played_by(env, n_steps=40, seed=0):
    """Returns each slot's examples, with episodes of different lengths in the slots."""
    rng = np.random.default_rng(seed)
    first = env.reset(seed=seed, options={"group_size": 2})[1]["example_id"]
    played = [[id] for id in first]
    for _ in range(n_steps):
        # Slot 0 takes its time, the others hurry.
        ends = rng.random(env.num_envs) < [0.1, 0.9, 0.5, 0.3]
        infos = env.step(np.where(ends, END, 700))[4]
        for slot in np.flatnonzero(infos.get("_example_id", [])):
            if not infos.get("_response", np.zeros(4, bool))[slot]:
                played[slot].append(infos["example_id"][slot])
    return played


@pytest.mark.parametrize("mode", ["next_step", "same_step"])
def test_the_slots_of_a_group_play_the_same_examples_each_at_its_own_pace(mode):
    env = gym.make_vec("TextQA-v0", num_envs=4, autoreset_mode=mode, max_new_tokens=9)
    a, b, c, d = played_by(env)
    assert len(a) < len(b)
    assert b[: len(a)] == a
    assert c[: len(d)] == d[: len(c)]
    assert not {*a} & {*c}
    assert len({*b}) == len(b)


def test_a_group_draws_what_a_single_environment_of_its_first_slots_seed_draws():
    env = gym.make_vec("TextQA-v0", num_envs=4, max_new_tokens=9)
    *_, slot, _ = played_by(env, seed=3)
    single = gym.make("TextQA-v0")
    assert slot == [single.reset(seed=s)[1]["example_id"] for s in (5, *[None] * (len(slot) - 1))]


def test_a_reset_without_groups_ends_them():
    env = gym.make_vec("TextQA-v0", num_envs=4)
    grouped = env.reset(seed=0, options={"group_size": 4})[1]["example_id"]
    assert len({*grouped}) == 1
    plain = env.reset(seed=0)[1]["example_id"]
    assert len({*plain}) == 4
    assert plain[0] == grouped[0]


def test_a_group_that_does_not_divide_the_slots_or_is_given_for_some_is_refused():
    env = gym.make_vec("TextQA-v0", num_envs=4, autoreset_mode="disabled")
    with pytest.raises(ConfigError, match="4 slots do not divide into groups of 3"):
        env.reset(options={"group_size": 3})
    for size in (0, 1.5, True, "2"):
        with pytest.raises(ConfigError, match='"group_size" is a whole number'):
            env.reset(options={"group_size": size})
    env.reset(options={"group_size": 2})
    mask = np.array([True, False, False, False])
    env.reset(options={"group_size": 2, "reset_mask": mask})
    with pytest.raises(ConfigError, match="is for all slots"):
        env.reset(options={"group_size": 4, "reset_mask": mask})


# Ends.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("id", ["TextQA-v0", "TextDialogue-v0"])
def test_a_limit_of_steps_truncates_as_gymnasiums_wrapper_does(id, mode):
    # A limit equal to the budget makes some episodes end for both reasons at once.
    ours, theirs = make_pair(id, mode, max_new_tokens=5, max_episode_steps=5)
    assert play_both(ours, theirs, mode, n_steps=60) > 2 * N


def test_a_truncated_episode_is_paid_nothing_and_a_terminated_one_its_reward():
    env = gym.make_vec(
        "TextQA-v0",
        num_envs=2,
        max_episode_steps=2,
        reward=lambda episodes: RewardResult(np.full(len(episodes), 0.5)),
        autoreset_mode="disabled",
    )
    env.reset(seed=0)
    env.step([700, 700])
    _, rewards, terminated, truncated, infos = env.step([700, END])
    assert rewards.tolist() == [0.0, 0.5]
    assert terminated.tolist() == [False, True]
    assert truncated.tolist() == [True, True]
    assert infos["stop_reason"].tolist() == [None, "end_of_turn"]


def test_slot_i_of_a_seed_is_the_single_environment_of_seed_plus_i():
    env = gym.make_vec("TextQA-v0", num_envs=4)
    single = gym.make("TextQA-v0")
    infos = env.reset(seed=10)[1]
    assert infos["example_id"].tolist() == [
        single.reset(seed=10 + slot)[1]["example_id"] for slot in range(4)
    ]
    assert_equal(env.reset(seed=np.int64(10))[1], infos)


def test_seeds_of_a_sequence_are_the_slots_own_and_none_goes_on():
    ours, theirs = make_pair("TextQA-v0", "next_step")
    for seeds in ([5, 5, 9], [None, 5, None], None, [None, None, 1]):
        assert_equal(ours.reset(seed=seeds), theirs.reset(seed=seeds))
    with pytest.raises(ConfigError, match="2 seeds were given for 3 slots"):
        ours.reset(seed=[1, 2])


def test_a_mask_resets_its_slots_alone():
    ours, theirs = make_pair("TextQA-v0", "disabled")
    for env in (ours, theirs):
        env.reset(seed=0)
        env.step(np.array([700, 701, 702]))
    for seed in (None, [1, 2, 3], 7):
        mask = np.array([True, False, True])
        assert_equal(
            ours.reset(seed=seed, options={"reset_mask": mask.copy()}),
            theirs.reset(seed=seed, options={"reset_mask": mask.copy()}),
        )
    for mask in ([True, False], np.array([1, 0, 1]), np.zeros(3, np.bool_), "all"):
        with pytest.raises(ConfigError, match="reset_mask must be a bool array"):
            ours.reset(options={"reset_mask": mask})


def test_the_callers_options_and_actions_are_left_as_they_were():
    env = gym.make_vec("TextQA-v0", num_envs=2)
    options = {"reset_mask": np.array([True, True]), "index": [3, 4]}
    env.reset(options=options)
    assert options["index"] == [3, 4]
    assert options["reset_mask"].all()
    actions = np.array([700, 701], np.int32)
    env.step(actions)
    assert actions.tolist() == [700, 701]


def test_an_ended_slot_rests_in_disabled_mode_whatever_its_action():
    env = gym.make_vec("TextQA-v0", num_envs=2, autoreset_mode="disabled")
    env.reset(seed=0)
    first = env.step([END, 700])[0]
    for action in (700, -5, 10**9):
        observation, rewards, terminated, truncated, infos = env.step([action, 700])
        assert_equal(observation["input_ids"][0], first["input_ids"][0])
        assert (rewards[0], terminated[0], truncated[0], infos) == (0.0, False, False, {})
        assert observation["remaining"][1] < first["remaining"][1]


def test_all_slots_may_end_at_once():
    env = gym.make_vec("TextQA-v0", num_envs=2)
    env.reset(seed=0)
    assert env.step([END, END])[2].all()
    _, rewards, terminated, _, infos = env.step([END, END])
    assert (rewards.tolist(), terminated.tolist()) == ([0.0, 0.0], [False, False])
    assert infos["_example_id"].all()


def test_the_reward_is_called_once_for_all_that_end_together():
    sizes = []

    def reward(episodes):
        sizes.append(len(episodes))
        return RewardResult(np.arange(len(episodes), dtype=float))

    env = gym.make_vec("TextQA-v0", num_envs=3, reward=reward)
    env.reset(seed=0)
    assert env.step([END, 700, END])[1].tolist() == [0.0, 0.0, 1.0]
    assert sizes == [2]


def test_options_pin_all_slots_or_each_its_own():
    env = gym.make_vec("TextQA-v0", num_envs=2)
    ids = env.reset(options={"index": 7})[1]["example_id"]
    assert ids.tolist() == ["facts/train/0/7", "facts/train/0/7"]
    options = {"index": np.array([1, 2]), "split": ["train", "test"]}
    ids = env.reset(options=options)[1]["example_id"]
    assert ids.tolist() == ["facts/train/0/1", "facts/test/0/2"]
    ids = env.reset(options={"prompt": "Who?", "references": ["me", "you"]})[1]["example_id"]
    assert ids.tolist() == ["prompt", "prompt"]
    with pytest.raises(ConfigError, match='"index" has 3 entries for 2 slots'):
        env.reset(options={"index": [1, 2, 3]})
    with pytest.raises(UnknownNameError, match="Did you mean 'index'"):
        env.reset(options={"indx": [1, 2]})


def test_a_step_before_every_slot_has_begun_is_refused():
    for mode in MODES:
        env = gym.make_vec("TextQA-v0", num_envs=2, autoreset_mode=mode)
        with pytest.raises(ResetNeeded, match="call reset"):
            env.step([700, 700])
        env.reset(options={"reset_mask": np.array([True, False])})
        with pytest.raises(ResetNeeded, match="call reset"):
            env.step([700, 700])
        env.reset(options={"reset_mask": np.array([False, True])})
        env.step([700, 700])


@pytest.mark.parametrize(
    "actions",
    [
        [700, -1],
        [4096, 700],
        np.array([700, 2**63], np.uint64),
        [700.0, 700.0],
        [700],
        [[700, 700]],
        700,
        [True, False],
    ],
)
def test_actions_that_are_no_tokens_are_refused_and_write_nothing(actions):
    env = gym.make_vec("TextQA-v0", num_envs=2)
    before, _ = env.reset(seed=0)
    with pytest.raises(ConfigError, match="token id"):
        env.step(actions)
    observation = env.step([700, 701])[0]
    assert (observation["input_ids"] != before["input_ids"]).sum(axis=1).tolist() == [1, 1]


def test_the_slot_of_a_wrong_action_is_named():
    env = gym.make_vec("TextQA-v0", num_envs=4, autoreset_mode="disabled")
    env.reset(seed=0)
    env.step([END, 700, 700, 700])
    with pytest.raises(ConfigError, match=r"Action -7 in slot 2 .* from 0 to 4095"):
        env.step([9999, 700, -7, 700])


def test_a_reward_that_fails_is_an_error_of_the_step():
    env = gym.make_vec(
        "TextQA-v0", num_envs=2, reward=lambda e: RewardResult(np.full(len(e), np.inf))
    )
    env.reset(seed=0)
    with pytest.raises(RewardError, match="= inf for example 'facts/train/0/"):
        env.step([END, 700])


def test_observations_are_never_written_to_again():
    env = gym.make_vec("TextQA-v0", num_envs=2)
    first, _ = env.reset(seed=0)
    kept = {key: value.copy() for key, value in first.items()}
    env.step([700, END])
    env.step([700, 700])
    assert_equal(first, kept)


def test_gymnasiums_statistics_wrapper_counts_whole_episodes():
    env = gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec("TextQA-v0", num_envs=2))
    env.reset(seed=0)
    env.step(np.array([700, 700]))
    infos = env.step(np.array([END, 700]))[4]
    assert infos["episode"]["l"].tolist() == [2, 0]
    env.step(np.array([700, END]))
    env.step(np.array([END, 700]))
    assert list(env.length_queue) == [2, 3, 1]


def test_processes_of_single_environments_give_the_same_stream():
    ours = gym.make_vec("TextQA-v0", num_envs=2)
    theirs = gym.make_vec(
        "TextQA-v0", num_envs=2, vectorization_mode="async", vector_kwargs={"context": "spawn"}
    )
    try:
        assert play_both(ours, theirs, "next_step", n_steps=20) > 2
    finally:
        theirs.close()
