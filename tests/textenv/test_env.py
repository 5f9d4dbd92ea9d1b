"""The single environment: what every registered id keeps, and what one episode is made of."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_for_sb3

import textenv
from textenv.env import TextEnv
from textenv.errors import (
    ConfigError,
    PromptTooLongError,
    RewardError,
    TextEnvError,
    UnknownArgumentError,
    UnknownNameError,
)
from textenv.examples import Example, Turn
from textenv.rewards import RewardResult
from textenv.rollout import play_text
from textenv.tasks.qa import QATask

IDS = textenv.registered_ids()

# A change of any stream changes its hash, and is to bump the -vN of the id.
GOLDEN: dict[str, str] = json.loads(
    Path(__file__).with_name("golden_streams.json").read_text(encoding="utf-8")
)


def stream_hash(id: str) -> str:
    """Hashes two short episodes, one of random tokens or choices and one of the gold answer."""
    env = gym.make(id)
    core = env.unwrapped.core
    rng = np.random.default_rng(7)
    found = hashlib.blake2b(digest_size=8)

    def add(*values: Any) -> None:
        text = json.dumps(values, default=_plain, sort_keys=True)
        # The last digits of a score may differ between machines.
        rounded = json.loads(text, parse_float=lambda digits: f"{float(digits):.9f}")
        found.update(json.dumps(rounded).encode())

    for seed, gold in ((3, False), (None, True)):
        add(*env.reset(seed=seed))
        planned: list[int] = []
        ended = False
        while not ended:
            if not planned and core.action_level == "select":
                example, transcript = core.example(0), core.transcript(0)
                candidates = core.task.candidates(example, transcript)
                ideal = candidates.index(core.task.gold(example, transcript))
                planned = [ideal if gold else int(rng.integers(len(candidates)))]
            elif not planned:
                transcript = core.transcript(0)
                text = core.task.gold(core.episode(0).example, transcript) if gold else "Which?"
                planned = [*core.tokenizer.encode(text), core.tokenizer.end_id]
                if not gold:
                    planned[:0] = rng.integers(5, core.tokenizer.vocab_size, size=3).tolist()
            observation, reward, terminated, truncated, info = env.step(planned.pop(0))
            ended = terminated or truncated
            add(observation, reward, terminated, truncated, info)
    return found.hexdigest()


def _plain(value: Any) -> Any:
    assert isinstance(value, np.ndarray)
    return [value.dtype.name, value.tolist()]


@pytest.fixture
def make():
    """Makes environments of a tiny question-answering task; keyword arguments override."""
    opened = []

    def make(id="TextQA-v0", **kwargs):
        env = gym.make(id, **kwargs)
        opened.append(env)
        return env

    yield make
    for env in opened:
        env.close()


def write(env, text, end=True):
    """Writes a text token by token; returns every step."""
    tokenizer = env.unwrapped.core.tokenizer
    ids = [*tokenizer.encode(text), *([tokenizer.end_id] if end else [])]
    return [env.step(id) for id in ids]


def written(observation) -> list[int]:
    return observation["input_ids"][observation["attention_mask"] == 1].tolist()


def nan(episodes):
    return RewardResult(np.full(len(episodes), np.nan))


def too_many(episodes):
    return RewardResult(np.zeros(len(episodes) + 1))


# Every registered environment.


@pytest.mark.parametrize("id", IDS)
def test_the_checkers_of_gymnasium_and_sb3_pass_without_a_warning(id):
    check_env(gym.make(id, render_mode="rgb_array").unwrapped)
    check_env_for_sb3(gym.make(id))


@pytest.mark.parametrize("id", IDS)
def test_the_stream_of_an_id_never_changes(id):
    assert stream_hash(id) == GOLDEN[id]


def test_another_process_gives_the_same_streams():
    code = (
        "import runpy, sys; found = runpy.run_path(sys.argv[1]);"
        "print(*map(found['stream_hash'], found['IDS']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, __file__],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.split() == [stream_hash(id) for id in IDS], done.stderr


@pytest.mark.parametrize("id", IDS)
def test_gold_is_the_ceiling_and_silence_the_floor_of_the_default_reward(id, make):
    core = make(id).unwrapped.core
    for index in range(100):
        example = core.dataset()[index]
        gold = play_text(core, example, core.task.gold)
        assert not gold.prompt_cut
        assert gold.stop_reason == "end_of_turn"
        assert core.reward([gold]).total.tolist() == [1.0]
        silent = play_text(core, example, lambda example, transcript: "")
        assert core.reward([silent]).total.tolist() == [0.0]


@pytest.mark.parametrize("id", IDS)
def test_a_spec_survives_json_and_copies_and_makes_the_same_environment(id):
    spec = gym.spec(id)
    again = gym.envs.registration.EnvSpec.from_json(spec.to_json())
    first, second = (gym.make(copy.deepcopy(spec)), gym.make(again))
    assert written(first.reset(seed=5)[0]) == written(second.reset(seed=5)[0])
    assert gym.envs.registration.EnvSpec.from_json(first.spec.to_json()) == first.spec


def test_an_environment_of_the_embedded_tokenizer_needs_neither_torch_nor_transformers():
    code = (
        "import sys, textenv, gymnasium\n"
        "for id in textenv.registered_ids():\n"
        "    env = gymnasium.make(id); env.reset(seed=0); env.step(1)\n"
        "    env = gymnasium.make_vec(id, num_envs=2); env.reset(seed=0); env.step([1, 1])\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas', 'stable_baselines3', 'agents'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("\n", "")


def test_a_seed_restarts_the_stream_and_no_seed_goes_on_with_it(make):
    env = make()
    ids = [env.reset(seed=seed)[1]["example_id"] for seed in (1, None, None, 1, None, 2)]
    assert ids[:2] == ids[3:5]
    assert len({*ids}) == 4


def test_resetting_draws_one_number_whatever_happened_in_the_episode(make):
    short, long = make(), make()
    for env, text in ((short, ""), (long, "a word")):
        env.reset(seed=1)
        write(env, text)
    assert short.reset()[1] == long.reset()[1]


# One episode.


def test_an_observation_is_the_conversation_as_tokens_and_only_grows(make):
    env = make(max_new_tokens=5)
    core = env.unwrapped.core
    observation, info = env.reset(seed=0)
    example = core.episode(0).example
    turn = core.task.opening(example)
    assert written(observation) == core.tokenizer.encode_opening(turn, 128)[0]
    assert observation["remaining"].tolist() == [5]
    assert info == {"example_id": example.id, "prompt_cut": False}
    before = written(observation)
    for left, action in ((4, 700), (3, 800), (2, 700)):
        observation, reward, terminated, truncated, info = env.step(action)
        assert written(observation) == [*before, action]
        assert observation["input_ids"][len(before) + 1 :].tolist() == [core.tokenizer.pad_id] * (
            133 - len(before) - 1
        )
        assert observation["remaining"].tolist() == [left]
        assert (reward, terminated, truncated, info) == (0.0, False, False, {})
        before = written(observation)


def test_an_observation_once_given_is_never_written_to_again(make):
    env = make()
    first, _ = env.reset(seed=0)
    kept = copy.deepcopy(first)
    second = env.step(700)[0]
    again = copy.deepcopy(second)
    write(env, "more")
    env.reset()
    for a, b in ((first, kept), (second, again)):
        assert all((a[key] == b[key]).all() for key in a)


def test_the_end_token_terminates_and_pays_the_reward(make):
    env = make()
    env.reset(seed=0)
    example = env.unwrapped.core.episode(0).example
    *before, last = write(env, example.references[0])
    assert all(step[1:] == (0.0, False, False, {}) for step in before)
    assert last[1:4] == (1.0, True, False)
    assert last[4] == {
        "example_id": example.id,
        "prompt_cut": False,
        "response": example.references[0],
        "stop_reason": "end_of_turn",
        "reward_components": {"token_f1": 1.0},
    }


def test_an_exhausted_budget_terminates_and_pays_too(make):
    env = make(max_new_tokens=2, reward=lambda e: RewardResult(np.full(len(e), 0.25)))
    env.reset(seed=0)
    assert env.step(700)[1:4] == (0.0, False, False)
    observation, reward, terminated, truncated, info = env.step(701)
    assert (reward, terminated, truncated) == (0.25, True, False)
    assert info["stop_reason"] == "max_new_tokens"
    assert observation["remaining"].tolist() == [0]
    env.reset(seed=0)
    env.step(700)
    ended = env.step(env.unwrapped.core.tokenizer.end_id)
    assert ended[4]["stop_reason"] == "end_of_turn"


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_only_max_episode_steps_truncates_and_it_pays_nothing(make, limit):
    env = make(max_episode_steps=limit, max_new_tokens=9)
    env.reset(seed=0)
    steps = [env.step(700)[1:] for _ in range(limit)]
    assert steps == [(0.0, False, n == limit, {}) for n in range(1, limit + 1)]


def test_the_environments_own_limit_is_gymnasiums(make):
    theirs = make(max_episode_steps=3, max_new_tokens=3)
    ours = TextEnv(**theirs.unwrapped.spec.kwargs | {"max_episode_steps": 3, "max_new_tokens": 3})
    for plan in ([700, 701, 702], [700, 1], [700, 701, 1]):
        theirs.reset(seed=0)
        ours.reset(seed=0)
        for action in plan:
            expected, found = theirs.step(action), ours.step(action)
            assert written(expected[0]) == written(found[0])
            assert expected[1:] == found[1:]
    with pytest.raises(ResetNeeded):
        ours.step(700)


def test_sampled_tokens_are_kept_as_sampled(make):
    env = make(max_new_tokens=12)
    core = env.unwrapped.core
    observation, _ = env.reset(seed=0)
    opening = written(observation)
    whole = core.tokenizer.encode("the answer")
    # Byte by byte: the same text as `whole`, and not the tokens that encoding it would give.
    sampled = [id for char in "the answer" for id in core.tokenizer.encode(char)]
    assert sampled != whole
    sampled = [core.tokenizer.pad_id, *sampled[:9], core.tokenizer.end_id]
    for id in sampled:
        observation, _, terminated, _, info = env.step(id)
    assert terminated
    assert written(observation) == opening + sampled
    assert info["response"] == "the answe"
    episode = core.episode(0)
    assert episode.input_ids.tolist() == opening + sampled
    assert episode.action_mask.tolist() == [False] * len(opening) + [True] * len(sampled)


def test_nothing_is_left_of_an_earlier_longer_episode(make):
    env = make("TextDialogue-v0", max_new_tokens=9)
    env.reset(seed=0)
    for action in [700] * 18:
        env.step(action)
    observation, _ = env.reset(options={"prompt": "Hi", "references": "Hello"})
    length = len(written(observation))
    assert observation["input_ids"][length:].tolist() == [0] * (6 * 105 - length)
    assert not env.unwrapped.core.episode(0).action_mask.any()
    assert not env.unwrapped.core.action_mask.any()


@pytest.mark.parametrize("closed", [True, False])
def test_a_dialogue_goes_on_after_each_turn_with_its_own_budget(make, closed):
    env = make("TextDialogue-v0", max_new_tokens=6)
    core = env.unwrapped.core
    tokenizer = core.tokenizer
    opening = written(env.reset(seed=0)[0])
    turn = tokenizer.encode("What day?")[:5]
    turn = [*turn, tokenizer.end_id] if closed else [*turn, 700][:6]
    turn += [700] * (6 - len(turn)) if not closed else []
    for id in turn:
        observation, reward, terminated, truncated, info = env.step(id)
    assert (reward, terminated, truncated, info) == (0.0, False, False, {})
    assert observation["remaining"].tolist() == [6]
    *_, agent, guest = core.transcript(0)
    assert agent == Turn("assistant", tokenizer.decode(turn).strip())
    assert guest.role == "user"
    marker = [] if closed else [tokenizer.end_id]
    user, assistant = (tokenizer._encode_template(f"<|{role}|>") for role in ("user", "assistant"))
    reply = [
        *marker,
        *user,
        *tokenizer.encode(guest.text),
        tokenizer.end_id,
        *assistant,
    ]
    assert written(observation) == [*opening, *turn, *reply]
    observation = env.step(701)[0]
    assert observation["remaining"].tolist() == [5]
    mask = core.episode(0).action_mask
    by_agent = [*turn, 701]
    assert core.episode(0).input_ids[mask].tolist() == by_agent
    assert mask[len(opening) :].tolist() == [True] * len(turn) + [False] * len(reply) + [True]


def test_a_dialogue_ends_after_max_turns(make):
    env = make("TextDialogue-v0", max_turns=3)
    env.reset(seed=0)
    ended = [write(env, "Hm.")[-1][2] for _ in range(3)]
    assert ended == [False, False, True]
    assert [turn.role for turn in env.unwrapped.core.transcript(0)] == ["user", "assistant"] * 3


# Prompts that do not fit.


def test_a_cut_prompt_fits_its_window_keeps_the_instruction_and_is_flagged(make):
    env = make("TextSummarize-v0", max_prompt_tokens=40)
    decode = env.unwrapped.core.tokenizer.decode
    for document, is_cut in (("Rain fell. " * 1_000_000, True), ("Rain fell.", False)):
        observation, info = env.reset(options={"prompt": document, "references": "Rain."})
        assert info["prompt_cut"] is is_cut
        assert len(written(observation)) <= 40
        opening, text = decode(written(observation)).split("\n\n")
        assert opening == "Summarize in one sentence."
        assert document.startswith(text)
        assert text
        assert write(env, "Rain.")[-1][4]["prompt_cut"] is is_cut


def test_a_question_survives_a_context_that_does_not_fit(make):
    class LongQA(QATask):
        def opening(self, example):
            context = Example("", example.prompt, example.references, {"context": "Once. " * 900})
            return super().opening(context)

    env = make(task=LongQA(), max_prompt_tokens=40)
    observation, info = env.reset(options={"prompt": "Who?", "references": "me"})
    text = env.unwrapped.core.tokenizer.decode(written(observation))
    assert text.startswith("Once.")
    assert text.endswith("Question: Who?\nAnswer in a few words.")
    assert info["prompt_cut"]


def test_a_cut_reply_is_flagged_at_the_end(make):
    class Talkative(QATask):
        def reply(self, example, transcript):
            return Turn("user", "More? " * 900, cut=(0, 5400))

    env = make(task=Talkative(), max_turns=2, max_prompt_tokens=40)
    before = written(env.reset(options={"prompt": "Who?", "references": "me"})[0])
    observation = write(env, "")[-1][0]
    assert len(written(observation)) == len(before) + 1 + 40
    assert write(env, "")[-1][4]["prompt_cut"]


def test_a_question_that_cannot_fit_is_an_error(make):
    env = make(max_prompt_tokens=12)
    with pytest.raises(PromptTooLongError, match="Raise max_prompt_tokens"):
        env.reset(options={"prompt": "Who " * 20, "references": "me"})


# Pinned episodes.


@pytest.mark.parametrize("index", [4, np.int64(4), np.uint8(4)])
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_index_and_a_split_pin_an_example_and_draw_nothing(make, index, split):
    env = make()
    env.reset(seed=1)
    following = env.reset()[1]
    env.reset(seed=1)
    info = env.reset(options={"index": index, "split": split})[1]
    assert info["example_id"] == f"facts/{split}/0/4"
    assert env.reset()[1] == following


def test_a_split_alone_draws_from_it_for_one_episode(make):
    env = make(split="validation")
    assert env.reset(seed=0)[1]["example_id"].startswith("facts/validation/")
    assert env.reset(options={"split": "test"})[1]["example_id"].startswith("facts/test/")
    assert env.reset()[1]["example_id"].startswith("facts/validation/")


@pytest.mark.parametrize("references", ["me", ["me"], ("you", "me")])
def test_a_prompt_of_ones_own_is_scored_against_its_references(make, references):
    env = make()
    observation, _ = env.reset(options={"prompt": "Who?", "references": references})
    text = env.unwrapped.core.tokenizer.decode(written(observation))
    assert text == "Question: Who?\nAnswer in a few words."
    assert write(env, "me")[-1][1] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"idx": 1}, r"no reset option 'idx'. Did you mean 'index'"),
        ({"index": -1}, r"no example -1: the 'train' split has 1000000, numbered from 0"),
        ({"index": 1_000_000, "split": "test"}, r"no example 1000000: the 'test' split"),
        ({"index": True}, "a whole number, not True"),
        ({"index": np.True_}, "a whole number"),
        ({"index": 1.0}, r"a whole number, not 1\.0"),
        ({"index": "1"}, "a whole number, not '1'"),
        ({"split": "tets"}, r"no split 'tets'. Did you mean 'test'"),
        ({"prompt": "Who?"}, 'needs "references"'),
        ({"prompt": "Who?", "references": []}, 'needs "references"'),
        ({"prompt": "Who?", "references": [1]}, 'needs "references"'),
        ({"prompt": 5, "references": "me"}, 'The reset option "prompt" is a text'),
        ({"references": "me"}, '"references" goes with "prompt"'),
        ({"prompt": "Who?", "references": "me", "index": 0}, "Use either"),
    ],
)
def test_a_wrong_reset_option_is_refused(make, options, message):
    with pytest.raises(TextEnvError, match=message):
        make().reset(options=options)


# Mistakes.


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"max_new_token": 1},
            UnknownArgumentError,
            "'max_new_token'. Did you mean 'max_new_tokens'",
        ),
        ({"rewards": "rougeL"}, UnknownArgumentError, "argument 'rewards'. Did you mean 'reward'"),
        ({"reward": "rouge_L"}, UnknownNameError, "Did you mean 'rougeL'"),
        ({"dataset": "factz"}, UnknownNameError, "Did you mean 'facts'"),
        ({"split": "trian"}, UnknownNameError, "Did you mean 'train'"),
        ({"action_level": "tokens"}, UnknownNameError, "Did you mean 'token'"),
        ({"tokenizer": "embeded"}, UnknownNameError, "Did you mean 'embedded'"),
        ({"autoreset_mode": "next-step"}, UnknownNameError, "Did you mean 'next_step'"),
        ({"max_prompt_tokens": 0}, ConfigError, "max_prompt_tokens must be a whole number from 1"),
        ({"max_new_tokens": -3}, ConfigError, "max_new_tokens .* not -3"),
        ({"max_turns": True}, ConfigError, "max_turns .* not True"),
        ({"max_new_tokens": 2.0}, ConfigError, r"max_new_tokens .* not 2\.0"),
        ({"dataset_seed": -1}, ConfigError, "dataset_seed"),
    ],
)
@pytest.mark.parametrize("made_by", [gym.make, gym.make_vec])
def test_a_wrong_argument_is_refused_with_a_way_out(made_by, arguments, error, message):
    with pytest.raises(error, match=message):
        made_by("TextQA-v0", **arguments)


def test_an_unknown_render_mode_is_refused():
    kwargs = gym.spec("TextQA-v0").kwargs
    with pytest.raises(UnknownNameError, match="Did you mean 'ansi'"):
        TextEnv(**kwargs, render_mode="ansii")


def test_an_unknown_argument_is_an_error_of_ours_and_a_type_error_in_pythons_words(make):
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'") as caught:
        make(frameskip=1)
    assert isinstance(caught.value, TextEnvError)
    assert "environment creator" not in str(caught.value)


@pytest.mark.parametrize("action", [-1, 4096, 2**40, 1.5, np.nan, "a", None, [3], True])
def test_an_action_that_is_no_token_is_refused_and_writes_nothing(make, action):
    env = make().unwrapped
    observation, _ = env.reset(seed=0)
    with pytest.raises(ConfigError, match="token id"):
        env.step(action)
    assert written(env.step(700)[0]) == [*written(observation), 700]


def test_an_action_of_another_level_names_the_level_that_takes_it(make):
    for arguments, action, level in (
        ({}, "hello", "text"),
        ({"action_level": "text"}, 7, "token"),
    ):
        env = make(**arguments)
        env.reset(seed=0)
        with pytest.raises(ConfigError, match=rf'gym.make\(..., action_level="{level}"\)'):
            env.step(action)


@pytest.mark.parametrize("action", [700, np.int64(700), np.uint16(700), np.array(700)])
def test_any_kind_of_integer_is_an_action(make, action):
    env = make().unwrapped
    env.reset(seed=0)
    assert written(env.step(action)[0])[-1] == 700


def test_steps_before_a_reset_and_after_an_end_are_refused(make):
    env = make()
    with pytest.raises(ResetNeeded):
        env.step(700)
    bare = env.unwrapped
    with pytest.raises(ResetNeeded, match="call reset"):
        bare.step(700)
    bare.reset(seed=0)
    assert write(bare, "")[-1][2]
    with pytest.raises(ResetNeeded, match="has ended"):
        bare.step(700)


@pytest.mark.parametrize(("reward", "message"), [(nan, "= nan for example"), (too_many, r"\(2,\)")])
def test_a_reward_that_fails_is_an_error_and_its_episode_has_ended(make, reward, message):
    env = make(reward=reward, max_new_tokens=2).unwrapped
    env.reset(seed=0)
    env.step(700)
    with pytest.raises(RewardError, match=message):
        env.step(701)
    with pytest.raises(ResetNeeded):
        env.step(700)
    env.reset()
    env.step(700)


def test_an_error_of_the_task_ends_the_episode_too(make):
    class Broken(QATask):
        def reply(self, example, transcript):
            raise ValueError("no reply")

    env = make(task=Broken(), max_turns=2).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="no reply"):
        write(env, "")
    with pytest.raises(ResetNeeded):
        env.step(700)


# Gymnasium's wrappers.


def test_gymnasiums_statistics_count_tokens_and_the_return(make):
    env = gym.wrappers.RecordEpisodeStatistics(make())
    env.reset(seed=0)
    example = env.unwrapped.core.episode(0).example
    steps = write(env, example.references[0])
    episode = steps[-1][4]["episode"]
    assert (episode["r"], episode["l"]) == (1.0, len(steps))


def test_a_copy_of_a_running_environment_goes_on_by_itself(make):
    env = make().unwrapped
    env.reset(seed=0)
    env.step(700)
    twin = copy.deepcopy(env)
    env.step(701)
    assert written(twin.step(702)[0])[-2:] == [700, 702]
    assert written(env.step(703)[0])[-2:] == [701, 703]
    assert env.reset()[1] == twin.reset()[1]


@pytest.mark.parametrize("missing", ["task", "dataset", "reward"])
def test_what_an_environment_cannot_do_without_is_asked_for(missing):
    kwargs = {k: v for k, v in gym.spec("TextQA-v0").kwargs.items() if k != missing}
    with pytest.raises(ConfigError, match=f"The environment has no {missing}: give {missing}="):
        TextEnv(**kwargs)


@pytest.mark.parametrize(
    ("id", "level"),
    [("TextQA-v0", "token"), ("TextDialogue-v0", "text"), ("TextMath-v0", "select")],
)
def test_a_pickled_environment_goes_on_by_itself(id, level):
    env = gym.make(id, action_level=level)
    env.reset(seed=0)
    twin = pickle.loads(pickle.dumps(env))
    action = "What food?" if level == "text" else 2
    for _ in range(2):
        ours, theirs = env.step(action), twin.step(action)
        assert repr(ours) == repr(theirs)
        if ours[2]:
            break


def test_an_episode_that_fails_to_start_cannot_go_on():
    env = gym.make("TextMath-v0", action_level="select").unwrapped
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="offers 0 candidates"):
        env.reset(options={"prompt": "1 + 1?", "references": "2"})
    with pytest.raises(ResetNeeded):
        env.step(1)


def test_an_example_by_hand_takes_the_metadata_that_its_task_reads():
    env = gym.make("TextQAChoice-v0", action_level="text").unwrapped
    options = {"prompt": "Who?", "references": "A) me"}
    with pytest.raises(ConfigError, match=r"needs the metadata '\w+' of example 'prompt'"):
        env.reset(options=options)
    example = env.unwrapped.core.dataset()[0]
    metadata = {**example.metadata}
    env.reset(options={**options, "references": example.references, "metadata": metadata})
    assert env.step(example.references[0])[1] == 1.0
    with pytest.raises(ConfigError, match='"metadata" is a mapping'):
        env.reset(options={**options, "metadata": "x"})
    with pytest.raises(ConfigError, match='"metadata" goes with "prompt"'):
        env.reset(options={"metadata": metadata})


def test_a_sentence_by_hand_is_translated_as_the_task_says():
    env = gym.make("TextTranslateZh-v0", action_level="text")
    messages, _ = env.reset(options={"prompt": "Good day.", "references": "你好。"})
    assert messages[0]["content"] == "Translate to Chinese: Good day."
