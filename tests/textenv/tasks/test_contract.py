"""The public contract holds for every registered id, and finds each promise that a task breaks."""

from __future__ import annotations

import itertools
import json

import gymnasium as gym
import numpy as np
import pytest

import textenv
from textenv.rewards import RewardResult
from textenv.testing import ContractError, check_text_env


@pytest.mark.parametrize("id", textenv.registered_ids())
def test_every_registered_id_keeps_the_contract(id):
    check_text_env(id, n_examples=8)


class Echo(textenv.Task):
    """Says the word again; two candidates."""

    fields = (textenv.Field("word"),)
    n_candidates = 2

    def example(self, id, row):
        word = row["word"]
        return textenv.Example(id, word, (word,), {"candidates": (f"not {word}", word)})

    def opening(self, example):
        return (textenv.Turn("user", f"Say {example.prompt}"),)


class Reversed(Echo):
    def opening(self, example):
        return (*super().opening(example), textenv.Turn("assistant", "No."))


class Forgetful(Echo):
    n_candidates = 0
    calls = itertools.count()

    def gold(self, example, transcript=()):
        return f"{example.prompt} {next(self.calls)}"


class SamePrompt(Echo):
    def opening(self, example):
        return (textenv.Turn("user", "Say something"),)

    def split_key(self, example):
        return example.prompt


class Impure(Echo):
    calls = itertools.count()

    def example(self, id, row):
        return textenv.Example(id, f"{row['word']} {next(self.calls)}", ("x",))


class WrongCandidates(Echo):
    def candidates(self, example, transcript=()):
        return ("yes", "no")


class DoubledCandidates(Echo):
    def candidates(self, example, transcript=()):
        return (example.references[0],) * 2


class NumberedCandidates(Echo):
    def candidates(self, example, transcript=()):
        return (1, example.prompt)


class Terse(Echo):
    n_candidates = 0

    def reply(self, example, transcript):
        return "Go on."


class LongWinded(Echo):
    def gold(self, example, transcript=()):
        return "word " * 100


def generous(episodes):
    return RewardResult(np.array([1.0 + ("Say" in e.response) for e in episodes]))


def anything(episodes):
    return RewardResult(np.array([float(bool(e.response.strip())) for e in episodes]))


def never(episodes):
    return RewardResult(np.zeros(len(episodes)))


@pytest.fixture
def make_id(tmp_path):
    """Registers a task of this file on forty words, with arguments of its own."""
    registered = []
    words = tmp_path / "words.jsonl"
    words.write_text("".join(json.dumps({"word": f"word {i}"}) + "\n" for i in range(80)))

    def make_id(task, **kwargs):
        id = f"Contract{len(registered)}-v0"
        arguments = {
            "task": task,
            "dataset": str(words),
            "reward": "exact_match",
            "max_prompt_tokens": 32,
            "max_new_tokens": 16,
            **kwargs,
        }
        gym.register(
            id=id,
            entry_point="textenv.env:TextEnv",
            vector_entry_point="textenv.vector:TextVectorEnv",
            kwargs=arguments,
        )
        registered.append(id)
        return id

    yield make_id
    for id in registered:
        del gym.registry[id]


def test_a_task_of_ones_own_that_keeps_every_promise_passes(make_id):
    check_text_env(make_id(Echo()), n_examples=6)


@pytest.mark.parametrize(
    ("task", "kwargs", "message"),
    [
        (Reversed(), {}, "must end with a turn of the user"),
        (Forgetful(), {"reward": anything}, "plays differently the second time"),
        (SamePrompt(), {}, "is in the splits"),
        (Impure(), {}, "differs when it is read again"),
        (WrongCandidates(), {}, "is not among its candidates"),
        (DoubledCandidates(), {}, "must differ"),
        (NumberedCandidates(), {}, "must be texts"),
        (Terse(), {"max_turns": 2}, "must be a Turn, or None"),
        (LongWinded(), {}, "candidates|does not fit max_new_tokens"),
        (Echo(), {"reward": never}, "the ideal answer earns 0.0, not 1.0"),
        (Echo(), {"reward": lambda e: RewardResult(np.ones(len(e)))}, "no answer earns 1.0"),
        (Echo(), {"reward": generous}, "no answer earns 1.0, not 0.0"),
        (Echo(), {"max_new_tokens": 2}, "does not fit max_new_tokens = 2"),
    ],
)
def test_each_broken_promise_is_named(make_id, task, kwargs, message):
    id = make_id(task, **kwargs)
    with pytest.raises(ContractError, match=message):
        check_text_env(id, n_examples=6)


def test_it_takes_an_environment_as_a_string_is_shown(make_id):
    check_text_env(make_id(Echo()), n_examples=3, action_level="text", text_observation="string")


def test_a_reward_above_the_ceiling_is_found(make_id):
    def copying_pays(episodes):
        return RewardResult(
            np.array([2.0 if "Say" in e.response else float(bool(e.response)) for e in episodes])
        )

    with pytest.raises(ContractError, match=r"a copy of the prompt earns 2\.0"):
        check_text_env(make_id(Echo(), reward=copying_pays), n_examples=3)


def test_a_reward_that_tells_the_levels_apart_is_found(make_id, monkeypatch):
    from textenv.levels import TextLevel

    def shouting(self, rows, actions):
        return write(self, rows, [action.upper() for action in actions])

    write = TextLevel.write
    monkeypatch.setattr(TextLevel, "write", shouting)
    with pytest.raises(ContractError, match="ends differently at text level"):
        check_text_env(make_id(Echo()), n_examples=3)
