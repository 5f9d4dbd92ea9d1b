"""Code that a configuration names is loaded for the user's own alone, and only as what it is."""

from __future__ import annotations

import functools
import shutil
import sys
import types

import pytest

from textenv.errors import ConfigError
from textenv.named_code import check_code, find_code, record_own
from textenv.rewards import load_reward

OWN = """id: TextSummarize-v0
reward: {normalise: {of: "mine.py:score"}}
env: {reward: "my.package:Score", dataset: "news:3 items", task: "textenv.tasks.qa:QATask"}
"""
SCORE = """
import functools, subprocess
from subprocess import getoutput, Popen
from textenv import RewardResult

def details(answers):
    return [1.0 for _ in answers]

def make(weight=1.0):
    return details

class Least:
    def __init__(self, value=0.0):
        self.value = value
    def __call__(self, batch):
        return [self.value for _ in batch]

ready = Least(2.0)
bound = ready.__call__
given = functools.partial(make, weight=2.0)
hidden = functools.partial(subprocess.getoutput, "touch HOSTILE_RAN")
look_up = {}.get
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / "config.yaml"
    path.write_text(OWN)
    return path


def test_what_a_configuration_names_outside_of_the_packages_is_found_wherever_it_stands():
    spec = {
        "a.py:f": [{"x": "b:g"}, ("textenv.rewards:h", "agents:i", "textenvil:j")],
        "prompt": "Rate: 1 to 5",
        "url": "http://host:80/v1",
        "d/e f.py:k": 1,
        "agents.py:l": "textenv/m.py:n",
        3: None,
    }
    assert find_code(spec) == [
        "a.py:f",
        "b:g",
        "textenvil:j",
        "d/e f.py:k",
        "agents.py:l",
        "textenv/m.py:n",
    ]


def test_a_run_from_elsewhere_is_refused_with_the_names_of_its_code(config):
    with pytest.raises(ConfigError) as caught:
        check_code(config, allow_code=False)
    assert "'mine.py:score', 'my.package:Score'" in str(caught.value)
    assert "--allow-code" in str(caught.value)
    check_code(config, allow_code=True)


def test_a_run_that_this_user_made_is_known_wherever_it_is_moved(config, tmp_path):
    record_own(OWN)
    check_code(config, allow_code=False)
    moved = shutil.move(config.parent, tmp_path / "moved")
    check_code(tmp_path / "moved" / "config.yaml", allow_code=False)
    assert moved


def test_a_changed_file_another_user_and_another_place_are_not_the_same(
    config, tmp_path, monkeypatch
):
    record_own(OWN)
    config.write_text(OWN + "\n")
    with pytest.raises(ConfigError, match="allow-code"):
        check_code(config, allow_code=False)
    config.write_text(OWN)
    monkeypatch.chdir(tmp_path / "run")  # 'mine.py' would be another file here
    with pytest.raises(ConfigError, match="allow-code"):
        check_code(config, allow_code=False)
    monkeypatch.chdir(tmp_path)
    check_code(config, allow_code=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    with pytest.raises(ConfigError, match="allow-code"):
        check_code(config, allow_code=False)


def test_a_configuration_without_code_is_nobodys_secret(config, tmp_path):
    text = 'id: TextSummarize-v0\nreward: {"textenv.rewards.lexical.rouge:rouge1": {}}\n'
    record_own(text)
    assert not (tmp_path / "state").exists()
    config.write_text(text)
    check_code(config, allow_code=False)


def test_where_nothing_can_be_recorded_the_run_goes_on_and_is_asked_for_later(
    config, tmp_path, monkeypatch
):
    (tmp_path / "state").write_text("no folder")
    record_own(OWN)
    with pytest.raises(ConfigError, match="allow-code"):
        check_code(config, allow_code=False)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(SCORE)
    yield tmp_path
    assert not (tmp_path / "HOSTILE_RAN").exists()


@pytest.mark.parametrize(
    "spec",
    [
        "mine.py:details",
        "mine.py:make",
        "mine.py:Least",
        "mine.py:ready",
        "mine.py:bound",
        "mine.py:given",
        {"mine.py:make": {"weight": 2.0}},
        {"mine.py:Least": {"value": 2.0}},
    ],
    ids=str,
)
def test_functions_classes_and_instances_of_the_users_own_file_are_rewards(mine, spec):
    assert callable(load_reward(spec))


@pytest.mark.parametrize(
    "spec",
    [
        {"mine.py:getoutput": {"cmd": "touch HOSTILE_RAN"}},
        {"mine.py:Popen": {"args": ["touch", "HOSTILE_RAN"]}},
        "mine.py:hidden",
        "mine.py:look_up",
        {"subprocess:getoutput": {"cmd": "touch HOSTILE_RAN"}},
        {"a": {"reward": "os:system", "command": "touch HOSTILE_RAN"}},
        {"textenv.import_paths:load_module": {"module_name": "mine.py"}},
        {"agents.training.run:make_agent": {"config": 1, "arguments": 2}},
        {"yaml:unsafe_load": {"stream": "x"}},
        {"numpy:fromfile": {"file": "mine.py"}},
        f"{functools.__file__}:reduce",
        f"{pytest.__file__}:main",
    ],
    ids=str,
)
def test_a_function_of_a_library_is_no_reward(mine, spec):
    with pytest.raises(ConfigError, match=r"is not a reward|module of Python itself"):
        load_reward(spec)


def test_an_installed_package_offers_rewards_that_say_so(mine, monkeypatch):
    module = types.ModuleType("installed_rewards")
    module.__file__ = pytest.__file__
    code = (
        "from textenv.rewards import Reward\n"
        "def score(episodes): return [1.0 for _ in episodes]\n"
        "class Score:\n    def __call__(self, episodes): return [1.0 for _ in episodes]\n"
        "def make(value: float = 1.0) -> Reward: return score\n"
        "def other(command): return command\n"
    )
    exec(code, module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("score", "Score", "make"):
        assert callable(load_reward(f"installed_rewards:{name}"))
    with pytest.raises(ConfigError, match="is not a reward"):
        load_reward({"installed_rewards:other": {"command": "x"}})
