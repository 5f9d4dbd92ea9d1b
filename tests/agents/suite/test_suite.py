"""What a suite fixes, what its hash covers, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.suite.definition import load_definition, shipped_suites
from agents.suite.lazy_rule import make_lazy_speaker
from agents.suite.suite import make_suite
from textenv.errors import ConfigError, TextEnvError, UnknownNameError
from textenv.vector import make_core

ROOT = Path(__file__).resolve().parents[3]


def made(*arguments, **keys):
    return make_suite(load_definition(*arguments, **keys))


@pytest.mark.parametrize("name", shipped_suites())
def test_a_shipped_suite_is_what_it_was_published_as(name):
    definition = load_definition(name)
    # Data, lazy and gold of every task are checked against the file as it is made.
    assert all(set(entry.expected) == {"data", "lazy", "gold"} for entry in definition.tasks)
    suite = make_suite(definition)
    assert (suite.name, suite.hash) == (name, definition.hash)
    assert f"`{suite.hash}`" in (ROOT / "docs" / "suite.md").read_text(encoding="utf-8")
    # No shipped suite asks for rows from a network, or for another judge than the environment.
    assert not any({"dataset", "reward"} & set(entry.env) for entry in definition.tasks)


def test_the_hash_covers_the_file_the_settings_the_data_and_the_rewards(write_suite, monkeypatch):
    easy = {"path": "facts", "difficulty": "easy"}
    own = made(write_suite()).hash
    assert made(write_suite("elsewhere.yaml")).hash == own
    changed = [
        made(write_suite("a.yaml", examples=3)),
        made(write_suite("b.yaml", dataset_seed=1)),
        made(write_suite("c.yaml", {"env": {"max_new_tokens": 7}})),
        made(write_suite("d.yaml", {"env": {"max_new_tokens": 6, "dataset": easy}})),
        made(write_suite("e.yaml", {"env": {"max_new_tokens": 6, "reward": "chrf"}})),
        made(write_suite("f.yaml", {"lazy": ["{name 2}"]})),
        made(write_suite("g.yaml", batch_size=4)),
        made(write_suite("h.yaml", split="validation")),
    ]  # fmt: skip
    assert len({own, *(suite.hash for suite in changed)}) == len(changed) + 1
    monkeypatch.setattr("agents.suite.suite._mean_reward", lambda *_: next(rewards))
    # The same file, and a reward of the same name that pays otherwise.
    rewards = iter([0.0, 0.9, 0.0, 1.0])
    assert made(write_suite()).hash != own


def test_ideal_answers_have_1_and_the_lazy_rule_0(tiny):
    for task in tiny.tasks:
        assert task.normalise([task.lazy, task.gold]).tolist() == [0.0, 1.0]
    qa = tiny.tasks[0]
    assert qa.normalise([0.0])[0] == pytest.approx(-qa.lazy / (qa.gold - qa.lazy))


def test_the_lazy_rule_speaks_by_turn_and_by_what_is_asked():
    core = make_core("TextContinue-v0", 1, {"split": "test"})
    asked = {
        "Continue this text so that it ends up positive.": ["good {word 1} ."],
        "Continue this text so that it ends up negative.": ["bad", "worse"],
    }
    speak = make_lazy_speaker(core.task, asked)
    examples = [core.dataset("test")[i] for i in range(8)]
    said = {
        core.task.opening(e)[-1].text.split(".")[0][-8:]: speak(e, tuple(core.task.opening(e)))
        for e in examples
    }
    assert said["negative"] == "Bad"
    assert said["positive"].startswith("Good ")


@pytest.mark.parametrize(
    ("task", "keys", "told"),
    [
        ({"id": "TextQA-v9"}, {}, "no environment 'TextQA-v9'"),
        ({"env": {"tokenizer": "gpt2"}}, {}, "TextQA-v0: 'tokenizer' cannot be set"),
        ({"lasy": ["x"]}, {}, "no option 'lasy'"),
        ({}, {"examples": 0}, "examples=0 is not valid"),
        ({}, {"name": "../up"}, "name='../up' is not valid"),
        ({}, {"tasks": "all"}, "a list of 'tasks'"),
        ({}, {"tasks": ["TextQA-v0"]}, "task 1 is no mapping"),
        ({"id": "TextDialogueEasy-v0"}, {}, "listed twice"),
        ({"expected": {"data": "0000"}}, {}, "the hash of the examples is .* and not 0000"),
        ({"expected": {"gold": 0.5}}, {}, "the ideal reward is 1.0 and not 0.5"),
        ({}, {"hash": "0000"}, "was published with the hash 0000, and this is"),
    ],
)
def test_a_file_that_is_not_valid_is_refused_in_words(write_suite, task, keys, told):
    with pytest.raises(TextEnvError, match=told):
        made(write_suite(task=task, **keys))


def test_a_rule_that_earns_what_ideal_answers_do_is_refused(write_suite, monkeypatch):
    monkeypatch.setattr("agents.suite.suite._mean_reward", lambda *_: 0.9)
    with pytest.raises(ConfigError, match=r"lazy rule earns 0.900 and the ideal answers 0.900"):
        made(write_suite())


def test_a_suite_that_is_not_there_is_told_with_those_that_are(tmp_path):
    with pytest.raises(UnknownNameError, match=r"no suite 'textenv-9'.*textenv-1.0.*a YAML file"):
        load_definition("textenv-9")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_definition(str(tmp_path / "none.yaml"))
    (tmp_path / "bad.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_definition(str(tmp_path / "bad.yaml"))


def test_a_key_that_is_a_number_is_told_as_an_unknown_one(write_suite):
    path = Path(write_suite())
    path.write_text(path.read_text(encoding="utf-8") + "1: x\n", encoding="utf-8")
    with pytest.raises(TextEnvError, match="no option '1'"):
        load_definition(str(path))


@pytest.mark.parametrize(
    ("task", "keys", "where"),
    [
        ({}, {"description": "Find the secret: a word."}, "description"),
        ({"lazy": ["password: {word 1}"]}, {}, "tasks"),
    ],
)
def test_what_a_result_would_mask_is_refused_before_it_is_played(write_suite, task, keys, where):
    with pytest.raises(ConfigError, match=f"a text in '{where}' that looks like a key"):
        made(write_suite(task=task, **keys))
