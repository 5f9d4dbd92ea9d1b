"""Three action levels show the same task: what each sees, takes and refuses."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import FrameStackObservation
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from textenv.errors import ConfigError, UnknownNameError
from textenv.spaces import AnyText, MessagesSpace

CHOICE = "TextQAChoice-v0"
DIALOGUE = "TextDialogue-v0"


@pytest.fixture
def make():
    """Makes environments and closes them."""
    opened = []

    def make(id, **kwargs):
        opened.append(gym.make(id, **kwargs))
        return opened[-1]

    yield make
    for env in opened:
        env.close()


def play_texts(env, speak):
    """Plays an episode at text level; returns the last step."""
    observation, _ = env.reset(seed=1)
    while True:
        step = env.step(speak(observation))
        observation = step[0]
        if step[2]:
            return step


# Text level.


def test_a_text_is_a_whole_turn_and_the_observation_is_the_conversation(make):
    env = make("TextQA-v0", action_level="text")
    messages, info = env.reset(seed=1)
    assert [message["role"] for message in messages] == ["user"]
    assert messages[0]["content"] == env.unwrapped.core.transcript(0)[0].text
    assert "messages" not in info
    gold = env.unwrapped.core.task.gold(env.unwrapped.core.example(0))
    after, reward, terminated, truncated, info = env.step(gold)
    assert after == (*messages, {"role": "assistant", "content": gold})
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["response"] == gold


def test_a_dialogue_at_text_level_goes_on_by_turns(make):
    env = make(DIALOGUE, action_level="text")
    core = env.unwrapped.core
    seen = []

    def gold(messages):
        seen.append([message["role"] for message in messages])
        return core.task.gold(core.example(0), core.transcript(0))

    step = play_texts(env, gold)
    assert step[1] == 1.0
    assert seen[:2] == [["user"], ["user", "assistant", "user"]]


def test_one_string_may_be_shown_in_place_of_messages(make):
    env = make("TextQA-v0", action_level="text", text_observation="string")
    observation, _ = env.reset(seed=1)
    assert env.observation_space == AnyText()
    assert observation == f"user: {env.unwrapped.core.transcript(0)[0].text}"
    assert env.step("me")[0] == f"{observation}\nassistant: me"


def test_messages_of_an_observation_can_be_changed_without_harm(make):
    env = make("TextQA-v0", action_level="text")
    messages, _ = env.reset(seed=1)
    before = messages[0]["content"]
    messages[0]["content"] = "changed"
    assert env.step("me")[0][0]["content"] == before


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_every_text_is_an_action_and_is_written_as_its_own_tokens(text):
    env = _QA
    env.reset(options={"index": 0})
    assert env.action_space.contains(text)
    core = env.unwrapped.core
    start = int(core.lengths[0])
    _, _, terminated, _, info = env.step(text)
    assert terminated
    ids = core.input_ids[0, start : core.lengths[0]].tolist()
    assert ids == core.tokenizer.encode_turn(text, core.max_new_tokens)
    assert core.tokenizer.end_id not in ids[:-1]
    if info["stop_reason"] == "end_of_turn":
        assert info["response"] == text.strip()


_QA = gym.make("TextQA-v0", action_level="text", max_new_tokens=64)


def test_a_text_longer_than_its_budget_is_cut_and_says_so(make):
    env = make("TextQA-v0", action_level="text", max_new_tokens=4)
    env.reset(seed=0)
    *_, info = env.step("word " * 2_000_000)
    assert info["stop_reason"] == "max_new_tokens"
    assert (
        env.unwrapped.core.tokenizer.encode(info["response"])
        == (env.unwrapped.core.tokenizer.encode("word " * 9)[:4])
    )


@pytest.mark.parametrize("action", [3, None, b"bytes", ["a"]])
def test_what_is_no_text_is_refused_at_text_level(make, action):
    env = make("TextQA-v0", action_level="text", disable_env_checker=True)
    env.reset(seed=0)
    before = env.unwrapped.core.lengths.copy()
    with pytest.raises(ConfigError, match="An action is a text at text level"):
        env.step(action)
    assert (env.unwrapped.core.lengths == before).all()


# Select level.


def test_a_choice_writes_its_candidate(make):
    env = make(CHOICE, action_level="select")
    observation, info = env.reset(seed=1)
    core = env.unwrapped.core
    assert info["candidates"] == core.task.candidates(core.example(0))
    n = len(info["candidates"])
    ids = observation["candidate_ids"].reshape(n, -1)
    mask = observation["candidate_mask"].reshape(n, -1)
    for row, keep, text in zip(ids, mask, info["candidates"], strict=True):
        assert row[keep == 1].tolist() == core.tokenizer.encode_turn(text, core.max_new_tokens)
    choice = info["candidates"].index(core.task.gold(core.example(0)))
    _, reward, terminated, _, info = env.step(choice)
    assert (reward, terminated) == (1.0, True)
    assert info["response"] == core.task.gold(core.example(0))


def test_candidates_change_from_turn_to_turn_and_info_says_so(make):
    env = make(DIALOGUE, action_level="select")
    _, first = env.reset(seed=1)
    observation, reward, terminated, _, second = env.step(0)
    assert (reward, terminated) == (0.0, False)
    core = env.unwrapped.core
    assert second["candidates"] == core.task.candidates(core.example(0), core.transcript(0))
    assert observation["candidate_mask"].any()
    assert first["candidates"] != ()


def test_places_without_a_candidate_are_closed_and_say_nothing(make):
    env = make(CHOICE, action_level="select", task_kwargs={"n_choices": 7})
    observation, info = env.reset(seed=1)
    n = len(info["candidates"])
    assert n < 7
    assert env.unwrapped.action_masks().tolist() == [True] * n + [False] * (7 - n)
    assert not observation["candidate_mask"].reshape(7, -1)[n:].any()
    _, reward, terminated, _, info = env.step(6)
    assert (reward, terminated, info["response"]) == (0.0, True, "")


def test_the_right_choice_is_in_every_place_equally_often(make):
    core = make(CHOICE, action_level="select").unwrapped.core
    places = [0, 0, 0, 0]
    for index in range(400):
        example = core.dataset()[index]
        places[core.task.candidates(example).index(core.task.gold(example))] += 1
    assert min(places) > 70  # 100 expected, 8.7 the standard deviation


def test_a_task_without_candidates_says_so_when_it_is_made(make):
    with pytest.raises(ConfigError, match="offers no candidates to select from"):
        make("TextSummarize-v0", action_level="select")


def test_rows_without_candidates_say_so_when_they_are_reached(make):
    env = make("TextQA-v0", action_level="select")
    with pytest.raises(ConfigError, match="offers 0 candidates"):
        env.reset(options={"prompt": "Who?", "references": "me"})


def test_a_candidate_that_does_not_fit_says_so_rather_than_being_cut(make):
    env = make(CHOICE, action_level="select", max_new_tokens=2)
    with pytest.raises(ConfigError, match="Raise max_new_tokens"):
        env.reset(seed=0)


@pytest.mark.parametrize("action", [4, -1, 0.5])
def test_a_choice_that_is_none_is_refused(make, action):
    env = make(CHOICE, action_level="select", disable_env_checker=True)
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="candidate's number"):
        env.step(action)


# All of them.


@pytest.mark.parametrize("level", ["token", "text", "select"])
@pytest.mark.parametrize("shown", ["messages", "string"])
def test_the_checkers_pass_at_every_level(level, shown):
    if level != "text" and shown == "string":
        with pytest.raises(ConfigError, match="text_observation is of the text level"):
            gym.make(CHOICE, action_level=level, text_observation=shown)
        return
    kwargs = {"action_level": level, "text_observation": shown, "render_mode": "ansi"}
    check_env(gym.make(CHOICE, **kwargs).unwrapped)
    if level != "text":
        check_env_for_sb3(gym.make(CHOICE, **kwargs))


@pytest.mark.parametrize("argument", ["action_level", "text_observation"])
def test_an_unknown_level_or_form_is_answered_with_the_nearest(make, argument):
    wrong, right = {"action_level": ("txt", "text"), "text_observation": ("strng", "string")}[
        argument
    ]
    with pytest.raises(UnknownNameError, match=f"Did you mean '{right}'"):
        make("TextQA-v0", **{"action_level": "text", argument: wrong})


def test_action_masks_close_the_marks_of_the_template_and_leave_the_end_open(make):
    env = make("TextQA-v0").unwrapped
    masks = env.action_masks()
    assert masks.shape == (env.action_space.n,)
    closed = np.flatnonzero(~masks).tolist()
    assert closed == [
        id for id in env.core.tokenizer.special_ids if id != env.core.tokenizer.end_id
    ]
    assert len(closed) == 4
    with pytest.raises(ConfigError, match="no action masks at text level"):
        make("TextQA-v0", action_level="text").unwrapped.action_masks()


@pytest.mark.parametrize("level", ["text", "select"])
def test_max_episode_steps_counts_turns_where_an_action_is_a_turn(make, level):
    env = make(DIALOGUE, action_level=level, max_episode_steps=2)
    env.reset(seed=0)
    action = 0 if level == "select" else "What?"
    assert env.step(action)[2:4] == (False, False)
    assert env.step(action)[2:4] == (False, True)


@pytest.mark.parametrize("level", ["text", "select"])
def test_vector_environments_of_gymnasium_take_every_level(level):
    envs = [
        gym.make_vec(DIALOGUE, num_envs=2, action_level=level, vectorization_mode=mode, **extra)
        for mode, extra in (
            ("sync", {}),
            ("async", {}),
            ("async", {"vector_kwargs": {"context": "spawn"}}),
            ("async", {"vector_kwargs": {"shared_memory": False, "context": "spawn"}}),
        )
    ]
    ours = gym.make_vec(DIALOGUE, num_envs=2, action_level=level)
    actions = np.array([0, 1]) if level == "select" else ("Which day?", "你好")
    expected = ours.reset(seed=4)[0], *ours.step(actions)[:4]
    for env in envs:
        found = env.reset(seed=4)[0], *env.step(actions)[:4]
        env.close()
        for a, b in zip(found, expected, strict=True):
            _assert_equal(a, b)
    assert ours.observation_space == envs[0].observation_space
    assert ours.action_space == envs[0].action_space
    assert ours.observation_space.contains(expected[0])


def test_observations_of_workers_stay_as_they_were_when_the_next_step_is_taken():
    env = gym.make_vec(DIALOGUE, num_envs=2, action_level="text", vectorization_mode="async")
    first, _ = env.reset(seed=4)
    long = "😀 many words " * 10_000
    second = env.step((long, ""))[0]
    env.close()
    assert [len(turns) for turns in first] == [1, 1]
    assert [len(turns) for turns in second] == [3, 3]


@pytest.mark.parametrize("shown", ["messages", "string"])
@pytest.mark.parametrize("padding", ["reset", "zero"])
def test_frames_of_the_text_level_are_stacked(make, shown, padding):
    env = make(DIALOGUE, action_level="text", text_observation=shown)
    env = FrameStackObservation(env, 3, padding_type=padding)
    first, _ = env.reset(seed=4)
    empty = () if shown == "messages" else ""
    assert first[:2] == ((empty, empty) if padding == "zero" else (first[2], first[2]))
    second = env.step("Which day?")[0]
    assert second[:2] == first[1:]
    assert env.observation_space.contains(second)


def _assert_equal(a, b):
    if isinstance(b, dict):
        assert a.keys() == b.keys()
        for key in b:
            np.testing.assert_array_equal(a[key], b[key])
    elif isinstance(b, tuple):
        assert a == b
    else:
        np.testing.assert_array_equal(a, b)


# Spaces.


@pytest.mark.parametrize("space", [AnyText, MessagesSpace])
def test_samples_are_seeded_contained_and_survive_json(space):
    one, two = space(seed=3), space()
    two.seed(3)
    samples = [one.sample() for _ in range(20)]
    assert samples == [two.sample() for _ in range(20)]
    assert len({repr(sample) for sample in samples}) > 10
    assert all(one.contains(sample) for sample in samples)
    assert one.from_jsonable(one.to_jsonable(samples)) == samples
    assert one == two
    assert one != gym.spaces.Discrete(2)
    with pytest.raises(gym.error.Error, match="without a mask"):
        one.sample(mask=1)


@pytest.mark.parametrize(
    "wrong",
    [
        "text",
        [],
        ({"role": "user"},),
        ({"role": "boss", "content": ""},),
        ("a",),
        ({"role": "user", "content": 3},),
    ],
)
def test_what_is_no_conversation_is_not_contained(wrong):
    assert not MessagesSpace().contains(wrong)
    assert not AnyText().contains(3)
