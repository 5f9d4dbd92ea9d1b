"""Mistakes with rewards of one's own, and with options: one message, and no score that is wrong."""

from __future__ import annotations

import fractions

import numpy as np
import pandas as pd
import pytest

from textenv.errors import ConfigError, RewardError
from textenv.examples import Episode, Example
from textenv.rewards import (
    RewardResult,
    fit_reward,
    load_reward,
    loading,
    register_reward,
    score,
)
from textenv.rewards.score import make_episodes

OWN = """
import numpy as np
from textenv import RewardResult

def ones(episodes):
    return RewardResult(np.ones(len(episodes)))

def power(episodes, exponent=1):
    return RewardResult(np.ones(len(episodes)) ** exponent)

def make(**options):
    return [1.0]

class Broken:
    def __init__(self):
        open("/no/such/file")

class Silent:
    pass

_hidden = ones
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("def f(:", "raises SyntaxError"),
        ("1 / 0", "raises ZeroDivisionError: division by zero"),
        ("import no_such_package", "No module named 'no_such_package'"),
    ],
)
def test_a_file_that_fails_to_import_is_told(tmp_path, text: str, match: str) -> None:
    (tmp_path / "bad.py").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=match):
        load_reward(f"{tmp_path / 'bad.py'}:f")


@pytest.mark.parametrize(
    ("attribute", "options", "match"),
    [
        ("Ones", {}, r"has no 'Ones'\. Did you mean 'ones'"),
        ("Broken", {}, "cannot be made with no options: FileNotFoundError"),
        ("Silent", {}, "does not make a reward but"),
        ("make", {"scale": 2}, r"does not make a reward but \[1.0\]"),
        ("power", {"exponent": 2}, "is the reward itself, it takes no options"),
        ("ones", {"exponent": 2}, "is the reward itself, it takes no options"),
    ],
)
def test_what_is_no_reward_in_a_file_is_told(own, attribute: str, options, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        load_reward({f"{own}:{attribute}": options})


def test_a_file_and_a_module_that_are_not_there_are_told(own) -> None:
    with pytest.raises(ConfigError, match=r"no file .*Did you mean 'own.py'"):
        load_reward(f"{own.with_name('owm.py')}:ones")
    with pytest.raises(ConfigError, match="on PYTHONPATH"):
        load_reward("no_such_module_here:ones")
    with pytest.raises(ConfigError, match=r"\{rougeL: 1\}"):
        load_reward("rougeL: 1")


def test_a_made_reward_is_no_factory(monkeypatch) -> None:
    class Ready:
        def __call__(self, episodes):
            return RewardResult(np.zeros(len(episodes)))

    monkeypatch.setattr(loading, "REWARDS", dict(loading.REWARDS))
    register_reward("ready", Ready())
    with pytest.raises(ConfigError, match=r"register_reward\('ready', lambda: reward\)"):
        load_reward("ready")


@pytest.mark.parametrize(
    ("result", "match"),
    [
        (RewardResult(np.array([1j])), "'total' that is not an array of numbers"),
        (RewardResult(np.array(["one"])), "'total' that is not an array of numbers"),
        (RewardResult([[1.0], [1.0, 2.0]]), "'total' that is not an array of numbers"),
        (RewardResult(np.ones(1), {"a": ["x"]}), "'a' that is not an array of numbers"),
        (RewardResult(np.ones(1), {1: np.ones(1)}), "component called 1"),
        (RewardResult(np.ones(1), [1]), "returned list as 'components'"),
        (RewardResult(np.ones(1), None), "returned NoneType as 'components'"),
        (RewardResult(np.ones(1), reasons=["no"]), "returned list as 'reasons'"),
    ],
)
def test_a_result_of_the_wrong_form_is_refused(result, match: str) -> None:
    def wrong(episodes):
        return result

    with pytest.raises(RewardError, match=f"Reward 'wrong'.*{match}"):
        score(wrong, ["a"])


def test_numbers_of_any_kind_are_scores_and_weights() -> None:
    for one in (np.float32(1), np.int64(1), fractions.Fraction(1), 1):
        assert score({"exact_match": one}, ["a"], ["a"]).total == [1]
        assert score(lambda episodes, one=one: RewardResult([one]), ["a"]).total == [1]
    with pytest.raises(ConfigError, match="must be a number"):
        load_reward({"exact_match": 10**400})


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ({"rouge1": {"stem": "no"}}, "'stem' of reward 'rouge1' is true or false, not 'no'"),
        ({"bleu": {"lowercase": 1}}, "'lowercase' of reward 'bleu' is true or false"),
        ({"bleu": {"name": "mine"}}, "does not take 'name'"),
        ({"product": ["rougeL", "chrf"]}, r"write \{'product': \{'of': ...\}\}"),
        ({"mine": "rougeL"}, r"write \{'mine': \{'reward': ...\}\}"),
        (
            {"product": {"of": [{"rougeL": 1, "chrf": 1}, {"bleu": 1, "ter": 1}]}},
            r"two parts called 'sum'.*\{'another': \{'reward': \.\.\.\}\}",
        ),
        ({"by_language": {"en": "rougeL", "EN": "chrf"}}, "a language twice: en, EN"),
        ({"json": {"required": 5}}, "lists keys, not 5"),
        ({"json": {"schema": []}}, r"a mapping, not \[\]"),
        ({"language": {"language": "en", "among": ["en"]}}, "one language alone"),
    ],
)
def test_an_option_of_the_wrong_kind_is_no_silent_default(spec, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        load_reward(spec)


def test_the_nearest_language_wins_whatever_the_order() -> None:
    spec = {"by_language": {"en": "constant", "en-GB": {"constant": {"value": 7}}}}
    metadata = [{"target_language": code} for code in ("en", "en_gb", "en-US")]
    assert score(spec, ["x"] * 3, metadata=metadata).total.tolist() == [0, 7, 0]


@pytest.mark.parametrize("options", [{}, {"off": "rougeL"}, {"weight": 2}, {"of": "ter", "x": 1}])
def test_fitting_refuses_what_loading_refuses(options) -> None:
    with pytest.raises(ConfigError, match="normalise"):
        fit_reward({"normalise": options}, make_episodes(["a", "b"], ["a", "a"]))


def test_columns_without_an_order_of_rows_are_refused() -> None:
    table = pd.DataFrame({"response": ["a"], "reference": ["a"]})
    for responses in ({"a", "b"}, table):  # a table goes through the names of its columns
        with pytest.raises(ConfigError, match=r"'responses' is (set|DataFrame)"):
            score("rouge1", responses, ["a", "b"])
    assert score("rouge1", ["a"], [{"a", "b"}]).total == [1]


def test_episodes_without_tokens_share_arrays_that_nobody_changes() -> None:
    one, other = (Episode(Example(id, "", ()), ()) for id in "ab")
    assert one.input_ids is other.input_ids
    assert one.input_ids.dtype == np.int32
    assert one.action_mask.dtype == np.bool_
    for array in (one.input_ids, one.action_mask):
        assert len(array) == 0
        assert not array.flags.writeable


def test_concepts_may_be_one_text() -> None:
    found = score("coverage", ["A dog sat."], metadata=[{"concepts": "dog, frisbee"}])
    assert found.total == [0.5]
