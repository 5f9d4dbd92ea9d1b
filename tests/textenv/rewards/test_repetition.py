"""Repetition and distinct-n by hand; neither asks for a reference."""

from __future__ import annotations

import pickle

import pytest

from textenv.errors import ConfigError
from textenv.rewards import load_reward, score


def total(spec, text: str) -> float:
    return float(score(spec, [text], [[]]).total[0])


def test_repetition_is_the_share_of_n_grams_that_are_new() -> None:
    # Pairs of "a b a b a b": ab ba ab ba ab, 2 of 5 new.
    assert total({"repetition": {"n": 2}}, "a b a b a b") == pytest.approx(2 / 5)
    # Fours of "w x y z w x y z": wxyz xyzw yzwx zwxy wxyz, 4 of 5 new.
    assert total("repetition", "w x y z w x y z") == pytest.approx(4 / 5)
    assert total("repetition", "the cat sat on the mat") == 1.0
    assert total("repetition", "no no no") == 1.0  # fewer than four words


def test_distinct_is_of_the_words() -> None:
    # Pairs of "a b a b": ab ba ab, 2 different, of 4 words.
    assert total("distinct", "a b a b") == pytest.approx(2 / 4)
    assert total({"distinct": {"n": 1}}, "a b a b") == pytest.approx(2 / 4)
    assert total("distinct", "word") == 0.0


@pytest.mark.parametrize("name", ["repetition", "distinct"])
def test_silence_scores_nothing(name: str) -> None:
    assert total(name, "") == total(name, " \n\t") == 0.0


def test_case_does_not_count_and_marks_do() -> None:
    assert total({"repetition": {"n": 1}}, "No no NO") == pytest.approx(1 / 3)
    assert total({"repetition": {"n": 1}}, "!!!!") == pytest.approx(1 / 4)
    assert total({"repetition": {"n": 1}}, "no, no") == pytest.approx(2 / 3)


def test_words_of_every_script_count() -> None:
    assert total({"repetition": {"n": 1}}, "我爱我") == pytest.approx(2 / 3)
    assert total({"repetition": {"n": 1}}, "ναι ναι όχι") == pytest.approx(2 / 3)
    assert total({"repetition": {"n": 1}}, "हिन्दी हिन्दी") == pytest.approx(1 / 2)
    assert total({"repetition": {"n": 1}}, "用GPU用gpu") == pytest.approx(2 / 4)


@pytest.mark.parametrize("name", ["repetition", "distinct"])
@pytest.mark.parametrize("n", [0, -1, 1.5, "2", True])
def test_n_is_a_whole_number(name: str, n: object) -> None:
    with pytest.raises(ConfigError, match=f"'n' of reward '{name}' must be a whole number from 1"):
        load_reward({name: {"n": n}})


@pytest.mark.parametrize("name", ["repetition", "distinct"])
def test_it_names_its_component_and_travels_between_processes(name: str) -> None:
    reward = load_reward(name)
    assert list(score(reward, ["a"], [[]]).components) == [name] == [reward.name]
    assert pickle.loads(pickle.dumps(reward)) == reward
