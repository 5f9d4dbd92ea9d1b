"""Wrappers: few actions, other observations, shaping that changes no sum, and recordings."""

from __future__ import annotations

import copy
import json
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

from textenv.errors import ConfigError
from textenv.rewards import RewardResult
from textenv.spaces import AnyText
from textenv.tokenization import load_tokenizer
from textenv.wrappers import (
    PotentialShaping,
    RecordEpisodes,
    RecordVectorEpisodes,
    SmallVocabulary,
    TokenObservation,
    TranscriptObservation,
)

END = 1
WORDS = ("a", " baker", " extraordinarily long word", "你")


def written(env):
    core = env.unwrapped.core
    return core.tokenizer.decode(core.input_ids[0][core.action_mask[0]].tolist())


# SmallVocabulary.


def test_a_word_is_written_whole_in_one_step():
    env = SmallVocabulary(gym.make("TextQA-v0", max_new_tokens=30), WORDS)
    observation, _ = env.reset(seed=0)
    left = observation["remaining"][0]
    assert env.action_space == gym.spaces.Discrete(5)
    for action in (1, 2, 4, 3):
        observation, reward, terminated, *_ = env.step(action)
        assert (reward, terminated) == (0.0, False)
    assert written(env) == "a baker你 extraordinarily long word"
    assert left - observation["remaining"][0] == env.unwrapped.core.action_mask.sum()
    *_, info = env.step(0)
    assert info["response"] == "a baker你 extraordinarily long word"


def test_words_that_no_longer_fit_are_closed_and_the_end_never_is():
    env = SmallVocabulary(gym.make("TextQA-v0", max_new_tokens=3), WORDS)
    env.reset(seed=0)
    n_tokens = [1, *(len(env.unwrapped.core.tokenizer.encode(word)) for word in WORDS)]
    assert max(n_tokens) > 3
    left = 3
    while left:
        assert env.action_masks().tolist() == [n <= left for n in n_tokens]
        left = int(env.step(n_tokens.index(1, 1))[0]["remaining"][0])


def test_a_word_taken_although_it_does_not_fit_is_cut_where_the_turn_ends():
    env = SmallVocabulary(gym.make("TextDialogue-v0", max_new_tokens=3), WORDS)
    env.reset(seed=0)
    observation, _, terminated, *_ = env.step(3)
    core = env.unwrapped.core
    assert not terminated
    assert observation["remaining"][0] == 3  # a new turn, with nothing written yet
    assert core.action_mask.sum() == 3
    assert env.action_masks()[0]


def test_a_word_never_runs_on_into_the_next_turn():
    env = SmallVocabulary(gym.make("TextDialogue-v0", max_new_tokens=1), WORDS)
    env.reset(seed=0)
    env.step(3)
    assert [turn.role for turn in env.unwrapped.core.turns[0]] == ["user", "assistant", "user"]


def test_it_earns_what_the_same_tokens_earn():
    env = SmallVocabulary(gym.make("TextQA-v0"), ("x",))
    env.reset(options={"prompt": "Who?", "references": "x"})
    env.step(1)
    assert env.step(0)[1] == 1.0


@pytest.mark.parametrize("words", [(), "text", ("a", "a"), ("a", "")])
def test_a_vocabulary_without_words_is_refused(words):
    with pytest.raises(ConfigError, match="words is a list of one or more texts"):
        SmallVocabulary(gym.make("TextQA-v0"), words)


def test_an_action_that_is_no_word_is_refused():
    env = SmallVocabulary(gym.make("TextQA-v0"), WORDS)
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="0 ends the turn, 1 to 4"):
        env.step(5)


def test_the_wrappers_need_a_text_environment_of_their_level():
    with pytest.raises(ConfigError, match="is not a text environment"):
        TranscriptObservation(gym.make("CartPole-v1"))
    with pytest.raises(ConfigError, match='made with action_level="token", not "text"'):
        SmallVocabulary(gym.make("TextQA-v0", action_level="text"), WORDS)


# Observations.


@pytest.mark.parametrize("level", ["token", "select"])
def test_the_conversation_as_one_string_holds_the_turn_being_written(level):
    env = TranscriptObservation(gym.make("TextDialogue-v0", action_level=level))
    observation, _ = env.reset(seed=0)
    assert env.observation_space == AnyText()
    assert observation.startswith("user: ")
    if level == "token":
        (id,) = env.unwrapped.core.tokenizer.encode("a")
        assert env.step(id)[0] == f"{observation}\nassistant: a"
    else:
        _, said, reply = env.step(0)[0].split("\n")
        assert said.startswith("assistant: ")
        assert reply.startswith("user: ")


def test_tokens_of_ones_own_hold_the_end_of_the_conversation():
    tokenizer = load_tokenizer()
    env = TokenObservation(gym.make("TextQA-v0", action_level="text"), tokenizer, max_tokens=8)
    observation, _ = env.reset(options={"prompt": "Who?", "references": "me"})
    assert env.observation_space.contains(observation)
    ids = tokenizer.encode("user: Question: Who?\nAnswer in a few words.")
    n = min(len(ids), 8)
    assert observation["input_ids"][:n].tolist() == ids[-n:]
    assert observation["attention_mask"].sum() == n
    observation = env.step("me me me me me")[0]
    text = tokenizer.decode(observation["input_ids"].tolist())
    assert text.endswith("me me me")
    with pytest.raises(ConfigError, match="max_tokens"):
        TokenObservation(gym.make("TextQA-v0"), max_tokens=0)


# PotentialShaping.


def length(episodes):
    """Some reward of unfinished text that is not 0 at the start, either."""
    return RewardResult(np.array([1.5 + len(episode.response) / 7 for episode in episodes]))


@pytest.mark.parametrize(("level", "text"), [("token", "a baker of the town"), ("text", None)])
def test_shaping_changes_no_sum(level, text):
    id = "TextQA-v0" if level == "token" else "TextDialogue-v0"
    plain, shaped = (gym.make(id, action_level=level) for _ in range(2))
    shaped = PotentialShaping(shaped, length)
    sums, shapings = [], []
    for env in (plain, shaped):
        env.reset(seed=0)
        core = env.unwrapped.core
        paid, terminated = 0.0, False
        actions = [*core.tokenizer.encode(text), END] if text else None
        while not terminated:
            gold = core.task.gold(core.example(0), core.transcript(0))
            step = env.step(np.int64(actions.pop(0)) if actions else gold)
            paid, terminated = paid + step[1], step[2]
            shapings.append(step[4].get("shaping", 0.0))
        sums.append(paid)
    assert sums[1] == pytest.approx(sums[0], abs=1e-12)
    assert any(shapings)


def test_shaping_pays_a_step_by_what_it_adds():
    env = PotentialShaping(gym.make("TextQA-v0"), "token_f1", gamma=0.5)
    env.reset(options={"prompt": "Who?", "references": "red bird"})
    ids = env.unwrapped.core.tokenizer.encode("red bird")
    paid = [env.step(np.int64(id))[1] for id in ids] + [env.step(np.int64(END))[1]]
    # Words: "red" alone has F1 2/3; all tokens before the last may spell no word of the reference.
    potentials = [0.0]
    core = env.unwrapped.core
    for n in range(1, len(ids) + 1):
        said = core.tokenizer.decode(ids[:n]).split()
        shared = len({"red", "bird"} & {*said})
        potentials.append(2 * shared / (len(said) + 2) if shared else 0.0)
    expected = [0.5 * b - a for a, b in pairwise(potentials)]
    assert paid[:-1] == pytest.approx(expected)
    assert paid[-1] == pytest.approx(1.0 - potentials[-1])


# Recordings.


def test_an_episode_is_recorded_as_it_was_played(tmp_path):
    path = tmp_path / "deep" / "episodes.jsonl"
    env = RecordEpisodes(gym.make("TextQA-v0", action_level="text"), path)
    for answer in ("你好", "\udc00"):
        env.reset(options={"prompt": "Who? \ud83d", "references": "你好"})
        env.step(answer)
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert first == {
        "example_id": "prompt",
        "turns": [
            {"role": "user", "text": "Question: Who? \ud83d\nAnswer in a few words."},
            {"role": "assistant", "text": "你好"},
        ],
        "response": "你好",
        "stop_reason": "end_of_turn",
        "n_tokens": len(env.unwrapped.core.tokenizer.encode("你好")) + 1,
        "reward": 1.0,
        "reward_components": {"token_f1": 1.0},
        "truncated": False,
    }
    assert second["response"] == "\ufffd"
    assert "你好" in path.read_text(encoding="utf-8")


def test_a_truncated_episode_is_recorded_without_pay(tmp_path):
    path = tmp_path / "episodes.jsonl"
    env = RecordEpisodes(gym.make("TextQA-v0", max_episode_steps=2), path)
    env.reset(seed=0)
    ids = env.unwrapped.core.tokenizer.encode("a b")
    for id in ids[:2]:
        env.step(np.int64(id))
    (record,) = map(json.loads, path.read_text().splitlines())
    assert record["truncated"]
    assert (record["stop_reason"], record["reward"], record["reward_components"]) == (None, 0.0, {})
    assert record["response"] == env.unwrapped.core.tokenizer.decode(ids[:2]).strip()


@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
def test_a_vector_environment_records_every_slot_in_every_mode(tmp_path, mode):
    path = tmp_path / "episodes.jsonl"
    env = RecordVectorEpisodes(
        gym.make_vec("TextQA-v0", num_envs=3, autoreset_mode=mode, action_level="text"), path
    )
    env.reset(seed=0)
    texts = [core_turns(env, slot) for slot in range(3)]
    env.step(("a", "b", "c"))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["response"] for record in records] == ["a", "b", "c"]
    assert [record["turns"][0]["text"] for record in records] == texts


def test_a_copied_vector_environment_records_its_own_episodes(tmp_path):
    path = tmp_path / "episodes.jsonl"
    env = RecordVectorEpisodes(gym.make_vec("TextQA-v0", num_envs=1, action_level="text"), path)
    env.reset(seed=0)
    twin = copy.deepcopy(env)
    twin.reset(seed=9)
    twin.step(("the copy",))
    (record,) = map(json.loads, path.read_text().splitlines())
    assert record["response"] == "the copy"
    assert record["turns"][0]["text"] == core_turns(twin, 0) != core_turns(env, 0)


def core_turns(env, slot):
    return env.unwrapped.core.transcript(slot)[0].text


# All of them.


@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")
@pytest.mark.parametrize(
    "wrap",
    [
        lambda env: SmallVocabulary(env, WORDS),
        TokenObservation,
        lambda env: PotentialShaping(env, "token_f1"),
        lambda env: RecordEpisodes(env, "/dev/null"),
    ],
)
def test_wrapped_environments_pass_the_checkers_and_can_be_made_again(wrap):
    env = wrap(gym.make("TextQA-v0", render_mode="ansi"))
    check_env(env, skip_render_check=True)
    check_env_for_sb3(wrap(gym.make("TextQA-v0")))
    again = gym.make(env.spec)
    assert type(again) is type(env)
    assert again.action_space == env.action_space
