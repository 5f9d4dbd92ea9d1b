"""Rewards are found by name, weighted, imported and wrapped; mistakes are told in words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

import textenv.rewards
from textenv.errors import ConfigError, RewardError, UnknownNameError
from textenv.examples import Episode, Example
from textenv.rewards import (
    RewardResult,
    compute_rewards,
    load_reward,
    loading,
    register_reward,
    score,
)
from textenv.rewards.parts import WeightedSum

RESPONSES = ["a cat sat", "dogs"]
REFERENCES = ["the cat sat", "cats"]


class CountsWords:
    """A reward with an option and components of its own."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        words = np.array([len(episode.response.split()) for episode in episodes], np.float64)
        return RewardResult(self.scale * words, {"count": words})


def word_count(episodes: Sequence[Episode]) -> list[int]:
    return [len(episode.response.split()) for episode in episodes]


@pytest.fixture
def words_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "REWARDS", dict(loading.REWARDS))
    register_reward("words", CountsWords)


def test_every_public_name_exists() -> None:
    assert all(hasattr(textenv.rewards, name) for name in textenv.rewards.__all__)


def test_importing_rewards_loads_no_metric_package() -> None:
    heavy = "{'sacrebleu', 'rapidfuzz', 'rouge_score', 'torch', 'transformers', 'datasets'}"
    code = f"import sys, textenv.rewards; sys.exit(str({heavy} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.usefixtures("words_registered")
def test_a_sum_pays_weights_times_totals_and_reports_every_part() -> None:
    # rouge1: "cat sat" of 3 and 3 words is 2*2/6. Words: 3 and 1, doubled by the option.
    # exact_match: articles do not count, and a weight of 0 only reports.
    spec = {"rouge1": 1.5, "words": {"weight": -0.25, "scale": 2.0}, "exact_match": 0}
    result = score(spec, RESPONSES, REFERENCES)
    assert result.total == pytest.approx([1.5 * 2 / 3 - 0.25 * 6, -0.25 * 2])
    parts = {key: value.tolist() for key, value in result.components.items()}
    assert parts == {
        "rouge1": pytest.approx([2 / 3, 0]),
        "words": [6, 2],
        "words/count": [3, 1],
        "exact_match": [1, 0],
    }


def test_a_sum_is_valid_where_all_its_parts_are() -> None:
    class SometimesBlind:
        def __init__(self, valid: list[bool]) -> None:
            self.valid = np.array(valid)

        def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
            return RewardResult(np.zeros(len(episodes)), valid=self.valid)

    first, second = SometimesBlind([True, False, True]), SometimesBlind([True, True, False])
    total = WeightedSum((("first", 1.0, first), ("second", 1.0, second)))
    episodes = [Episode(Example(str(i), "", ("",)), ()) for i in range(3)]
    assert total(episodes).valid.tolist() == [True, False, False]


def test_a_callable_is_a_reward_as_it_is() -> None:
    reward = CountsWords()
    assert load_reward(reward) is reward


def test_an_import_path_names_a_reward_a_class_or_a_factory(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_rewards.py").write_text(
        "import numpy as np\n"
        "from textenv.rewards import RewardResult\n"
        "def ones(episodes):\n"
        "    return RewardResult(np.ones(len(episodes)))\n"
        "class Constant:\n"
        "    def __init__(self, value=3.0):\n"
        "        self.value = value\n"
        "    def __call__(self, episodes):\n"
        "        return RewardResult(np.full(len(episodes), self.value))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert score("own_rewards:ones", ["x"], ["y"]).total == [1]
    assert score("own_rewards:Constant", ["x"], ["y"]).total == [3]
    spec = {"own_rewards:ones": 1, "own_rewards:Constant": {"weight": 2, "value": 5}}
    assert score(spec, ["x"], ["y"]).total == [11]


def test_an_imported_function_that_takes_no_episodes_makes_the_reward() -> None:
    result = score({"textenv.rewards.lexical.rouge:rouge1": 1}, ["a cat sat"], ["the cat sat"])
    assert result.total == pytest.approx([2 / 3])


def test_no_component_takes_the_place_of_the_total() -> None:
    def confused(episodes: Sequence[Episode]) -> RewardResult:
        return RewardResult(np.zeros(len(episodes)), {"total": np.ones(len(episodes))})

    with pytest.raises(RewardError, match="'confused' has a component called 'total'"):
        score(confused, ["x"], ["y"])


@pytest.mark.parametrize(
    "scores",
    [
        [0.25, 1],
        (0.25, 1.0),
        iter([0.25, 1.0]),
        np.array([0.25, 1.0], np.float32),
        torch.tensor([0.25, 1.0], dtype=torch.bfloat16),
        torch.tensor([0.25, 1.0], requires_grad=True),
        [torch.tensor(0.25, requires_grad=True), torch.tensor(1)],
        [np.float16(0.25), np.bool_(True)],
    ],
    ids=lambda scores: type(scores).__name__,
)
def test_a_function_may_return_anything_with_one_number_an_episode(scores) -> None:
    def luck(episodes: Sequence[Episode]) -> Any:
        return scores

    result = score(luck, RESPONSES, REFERENCES)
    assert result.total.tolist() == [0.25, 1]
    assert result.components["luck"].tolist() == [0.25, 1]


def test_plain_numbers_are_a_part_of_a_sum() -> None:
    result = score({"word_count": {"reward": word_count, "weight": 2}}, RESPONSES, REFERENCES)
    assert result.total.tolist() == [6, 2]
    assert list(result.components) == ["word_count"]


def test_what_a_reward_raises_is_told_with_its_line_and_the_example() -> None:
    def fragile(episodes: Sequence[Episode]) -> Any:
        return [1 / len(episode.response.split()) for episode in episodes]

    line = fragile.__code__.co_firstlineno + 1
    with pytest.raises(RewardError) as raised:
        score(fragile, ["a b", "", "c"], ["x", "y", "z"])
    told = str(raised.value)
    assert "ZeroDivisionError: division by zero" in told
    assert f"test_compose.py, line {line}, in " in told
    assert told.endswith("It was scoring '1'.")


def test_a_reward_that_fails_in_a_library_is_told_with_its_own_line() -> None:
    def parse(episodes: Sequence[Episode]) -> Any:
        return [json.loads(episode.response)["score"] for episode in episodes]

    line = parse.__code__.co_firstlineno + 1
    with pytest.raises(RewardError, match=rf"test_compose.py, line {line}, in .*scoring '0'"):
        score(parse, ["no JSON"], ["x"])


def test_a_function_that_takes_no_episodes_is_told_so() -> None:
    with pytest.raises(RewardError, match="has to take a list of episodes"):
        score(lambda a, b: [1.0], ["x"], ["y"])


@pytest.mark.parametrize(
    ("scores", "match"),
    [
        ([1.0], "'short' returned 'total' of shape"),
        ([1.0, float("nan")], "'short' returned 'total' = nan for example '1'"),
        ([1.0, float("inf")], "must be finite"),
        (["good", "bad"], "one number an episode"),
        (None, "returned nothing; return a list"),
        (0.5, "shape"),
        ("0.5", "returned '0.5'"),
        ({"0": 1.0, "1": 0.0}, "returned {"),
        ([1.0, None], "= nan for example '1'"),
        (np.ma.masked_array([1.0, 2.0], [False, True]), "= nan for example '1'"),
        ([[1.0], [0.0]], r"of shape \(2, 1\)"),
    ],
)
def test_scores_that_are_no_finite_number_for_each_episode_are_refused(scores, match: str) -> None:
    def short(episodes: Sequence[Episode]) -> Any:
        return scores

    with pytest.raises(RewardError, match=match):
        score(short, RESPONSES, REFERENCES)


def test_a_part_of_a_sum_is_held_to_the_same() -> None:
    def lone_number(episodes: Sequence[Episode]) -> RewardResult:
        return RewardResult(np.ones(1))

    def not_finite(episodes: Sequence[Episode]) -> RewardResult:
        return RewardResult(np.full(len(episodes), np.nan))

    for part, match in [
        (lone_number, "'part' returned 'total' of shape"),
        (not_finite, "nan"),
        (lambda episodes: [1.0], "'part' returned 'total' of shape"),
    ]:
        reward = WeightedSum((("part", 1.0, part),))
        with pytest.raises(RewardError, match=match):
            score(reward, RESPONSES, REFERENCES)


def test_an_unknown_name_is_met_with_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match=r"no reward 'rougel2'.*Did you mean 'rouge"):
        load_reward("rougel2")
    with pytest.raises(UnknownNameError, match="Did you mean 'bleu'"):
        load_reward({"blue": 1.0})


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ({}, "at least one"),
        ({"bleu": "half"}, "weight of reward 'bleu' must be a number"),
        ({"bleu": True}, "must be a number"),
        ({"bleu": float("nan")}, "must be a number"),
        ({"bleu": {"weight": 1, "wieght": 2}}, "Reward 'bleu' does not take 'wieght'"),
        ("no_such_module:thing", "Cannot import reward"),
        ("textenv.rewards:no_such_thing", "Cannot import reward"),
        ("textenv.rewards.lexical.rouge:__doc__", "is not callable"),
        (":", "Cannot import reward"),
        (3.5, "is not a reward"),
        (CountsWords, "is not a reward"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(spec, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        load_reward(spec)


@pytest.mark.usefixtures("words_registered")
def test_a_registered_name_is_known_and_taken_once() -> None:
    assert score("words", RESPONSES, REFERENCES).total.tolist() == [3, 1]
    with pytest.raises(ConfigError, match="'words' already"):
        register_reward("words", CountsWords)
    with pytest.raises(ConfigError, match="colon"):
        register_reward("my:words", CountsWords)
    with pytest.raises(ConfigError, match="not callable"):
        register_reward("number", 3)


def test_score_shows_a_reward_what_an_environment_would() -> None:
    seen: list[Episode] = []

    def watch(episodes: Sequence[Episode]) -> RewardResult:
        seen.extend(episodes)
        return RewardResult(np.zeros(len(episodes)))

    score(watch, ["hi"], [["hello", "hey"]], prompts=["Greet me."], metadata=[{"k": 1}])
    (episode,) = seen
    assert (episode.example.prompt, episode.response) == ("Greet me.", "hi")
    assert episode.example.references == ("hello", "hey")
    assert episode.example.metadata == {"k": 1}
    assert [turn.role for turn in episode.turns] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"responses": "a cat", "references": ["a"] * 5}, "'responses' is one text"),
        ({"responses": ["a"], "references": "a"}, "'references' is one text"),
        ({"responses": ["a", "b"], "references": ["a"]}, "'references' has 1 entries for 2"),
        ({"responses": ["a"], "references": ["a"], "prompts": []}, "'prompts' has 0 entries"),
        ({"responses": ["a"], "references": ["a"], "metadata": [{}, {}]}, "'metadata' has 2"),
    ],
)
def test_arguments_of_different_length_are_refused(arguments, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        score("rouge1", **arguments)


def test_no_episodes_get_no_scores() -> None:
    for name in ("rougeL", "bleu", "chrf", "token_f1"):
        assert compute_rewards(load_reward(name), []).total.shape == (0,)


def test_a_reward_that_raises_names_what_it_was_scoring() -> None:
    def broken(episodes: Sequence[Episode]) -> RewardResult:
        raise KeyError("weights")

    with pytest.raises(
        RewardError, match=r"'broken' raised KeyError: 'weights'.*scoring '.+'"
    ) as e:
        score(broken, ["hi"], ["hello"])
    assert isinstance(e.value.__cause__, KeyError)


def test_registering_a_reward_in_place_of_its_factory_is_explained(monkeypatch) -> None:
    monkeypatch.setattr(loading, "REWARDS", dict(loading.REWARDS))
    register_reward("ready_made", lambda episodes: RewardResult(np.zeros(len(episodes))))
    with pytest.raises(ConfigError, match=r"register_reward\('ready_made', lambda: reward\)"):
        load_reward("ready_made")
