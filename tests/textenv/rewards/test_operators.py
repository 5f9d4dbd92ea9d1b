"""Rewards made of rewards: what they pay, and what they report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import yaml

import textenv
from textenv.errors import ConfigError, RewardError
from textenv.examples import Episode, Example, Turn
from textenv.rewards import RewardResult, fit_reward, load_reward, score
from textenv.rewards.base import call_reward
from textenv.rewards.normalise import needs_fit

# rougeL: 2*2/6 and 0. exact_match, which leaves out articles: 1 and 0.
RESPONSES = ["a cat sat", "dogs"]
REFERENCES = ["the cat sat", "cats"]


def totals(spec, **arguments) -> list[float]:
    return score(spec, RESPONSES, REFERENCES, **arguments).total.tolist()


def components(spec, **arguments) -> dict[str, list[float]]:
    found = score(spec, RESPONSES, REFERENCES, **arguments).components
    return {name: values.tolist() for name, values in found.items()}


def episodes_of(*responses: str, metadata=None) -> list[Episode]:
    return [
        Episode(Example(str(i), "", ("cat",), metadata or {}), (Turn("assistant", text),))
        for i, text in enumerate(responses)
    ]


def word_count(episodes: Sequence[Episode]) -> RewardResult:
    words = np.array([len(episode.response.split()) for episode in episodes], np.float64)
    return RewardResult(words, {"letters": 2.0 * words})


def half_valid(episodes: Sequence[Episode]) -> RewardResult:
    valid = np.arange(len(episodes)) % 2 == 0
    reasons = dict.fromkeys(np.flatnonzero(~valid).tolist(), "it sleeps.")
    return RewardResult(np.ones(len(episodes)), {}, valid, reasons)


# What each pays and reports.


def test_a_product_multiplies_and_reports_all_of_its_parts():
    spec = {"product": {"of": ["rougeL", {"words": {"reward": word_count}}]}}
    assert totals(spec) == pytest.approx([2 / 3 * 3, 0])
    assert components(spec) == {
        "product": pytest.approx([2, 0]),
        "product/rougeL": pytest.approx([2 / 3, 0]),
        "product/words": [3, 1],
        "product/words/letters": [6, 2],
    }


def test_a_gate_pays_where_its_condition_holds_and_a_constant_elsewhere():
    spec = {"gate": {"of": word_count, "when": "rougeL", "at_least": 0.6, "otherwise": -1}}
    assert totals(spec) == [3, -1]
    assert components(spec) == {
        "gate": [3, -1],
        "gate/word_count": [3, 1],
        "gate/word_count/letters": [6, 2],
        "gate/rougeL": pytest.approx([2 / 3, 0]),
        "gate/open": [1, 0],
    }
    # "At least" includes the threshold itself.
    assert totals({"gate": {"of": word_count, "when": "exact_match"}}) == [3, 0]


def test_a_clip_pays_nothing_beyond_its_limits():
    assert totals({"clip": {"of": word_count, "low": 1.5, "high": 2.5}}) == [2.5, 1.5]
    assert totals({"clip": {"of": word_count, "high": 2}}) == [2, 1]
    assert totals({"clip": {"of": word_count, "low": 2}}) == [3, 2]
    found = components({"clip": {"of": word_count, "high": 2}})
    assert found["clip/word_count"] == [3, 1]  # what was clipped is still seen


def test_operators_nest_and_weigh_as_any_reward_does():
    inner = {"clip": {"of": "rougeL", "high": 0.5}}
    spec = {"product": {"of": [inner, "exact_match"], "weight": 4}, "exact_match": -1}
    assert totals(spec) == [4 * 0.5 * 1 - 1, 0]
    assert components(spec)["product/clip/rougeL"] == pytest.approx([2 / 3, 0])
    # A weight within an operator makes a sum of one.
    assert totals({"clip": {"of": {"exact_match": 3}, "high": 2}}) == [2, 0]


def test_the_same_reward_comes_twice_by_names_of_ones_own():
    spec = {
        "low": {"reward": "clip", "of": word_count, "high": 2, "weight": 10},
        "high": {"reward": "clip", "of": word_count, "low": 2},
    }
    assert totals(spec) == [20 + 3, 10 + 2]
    assert components(spec)["low"] == [2, 1]
    assert components(spec)["high/word_count"] == [3, 1]
    assert components({"mine": {"reward": {"rougeL": 1, "exact_match": 1}}})[
        "mine/exact_match"
    ] == [
        1,
        0,
    ]


def test_yaml_needs_no_syntax_of_its_own():
    text = """
    gate:
      of: {product: {of: [rougeL, {words: {reward: token_f1}}]}}
      when: {clip: {of: exact_match, high: 0.5}}
      at_least: 0.5
      weight: 2
    rougeL: 0.5
    """
    # token_f1 without the article: all of 2 words.
    assert totals(yaml.safe_load(text)) == pytest.approx([2 * 2 / 3 + 0.5 * 2 / 3, 0])


def test_each_language_has_its_own_reward():
    spec = {"by_language": {"de": word_count, "zh": "exact_match", "default": "rougeL"}}
    metadata = [{"target_language": "de_CH"}, {"target_language": "fr"}]
    assert totals(spec, metadata=metadata) == [3, 0]
    found = components(spec, metadata=metadata)
    assert found["by_language/de"] == [3, 0]
    assert found["by_language/de/letters"] == [6, 0]
    assert found["by_language/de/share"] == [1, 0]
    assert found["by_language/default/share"] == [0, 1]
    assert found["by_language/zh/share"] == [0, 0]


def test_a_language_without_a_reward_is_no_0():
    spec = {"by_language": {"key": "lang", "en": "rougeL"}}
    assert totals(spec, metadata=[{"lang": "EN"}, {"lang": "en"}]) == pytest.approx([2 / 3, 0])
    with pytest.raises(RewardError, match=r"no reward for example '1'.*'lang' is 'eng'.*mean 'en'"):
        totals(spec, metadata=[{"lang": "en"}, {"lang": "eng"}])
    with pytest.raises(RewardError, match=r"example '0'.*'lang' is missing"):
        totals(spec, metadata=[{}, {}])


def test_a_language_is_detected_where_that_is_asked_for():
    texts = [
        "Das Wetter ist heute sehr schön.",
        "The weather is very fine today.",
        "今天天气很好。",
    ]
    spec = {"by_language": {"detect": "reference", "de": word_count, "en": "exact_match"}}
    # Whatever the response is written in: it is the reference's language that counts.
    result = score(spec, [texts[1], texts[1]], texts[:2])
    assert result.total.tolist() == [6, 1]
    assert result.components["by_language/de/share"].tolist() == [1, 0]
    with_rest = {"by_language": {"detect": "prompt", "de": word_count, "default": "constant"}}
    result = score(with_rest, texts, ["x"] * 3, prompts=texts)
    assert result.components["by_language/default/share"].tolist() == [0, 1, 1]
    with pytest.raises(RewardError, match="its detected language is missing"):
        score(spec, ["x"], ["12 + 3"])


# Missing scores and errors.


@pytest.mark.parametrize(
    "spec",
    [
        {"rougeL": 1, "sleepy": {"reward": half_valid}},
        {"product": {"of": ["rougeL", {"sleepy": {"reward": half_valid}}]}},
        {"gate": {"of": "rougeL", "when": {"sleepy": {"reward": half_valid}}}},
        {"clip": {"of": {"sleepy": {"reward": half_valid}}, "high": 1}},
        {"normalise": {"of": {"sleepy": {"reward": half_valid}}, "std": 2}},
        {"dense": {"of": {"sleepy": {"reward": half_valid}}}},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_an_episode_is_without_a_score_where_a_part_is_and_the_part_is_named(spec):
    result = call_reward(load_reward(spec), episodes_of("cat", "a cat", "dog"))
    assert result.valid.tolist() == [True, False, True]
    assert "'sleepy': it sleeps." in result.reasons[1]
    assert np.isfinite(result.total).tolist() == [True, False, True]


def test_a_language_is_without_a_score_in_its_own_places_only():
    reward = load_reward({"by_language": {"en": half_valid, "default": "rougeL"}})
    episodes = [
        Episode(Example(str(i), "", ("cat",), {"target_language": code}), ())
        for i, code in enumerate(["fr", "en", "en", "fr"])
    ]
    result = call_reward(reward, episodes)
    assert result.valid.tolist() == [True, True, False, True]
    assert list(result.reasons) == [2]


@pytest.mark.parametrize("wrap", [
    lambda bad: {"rougeL": 1, "bad": {"reward": bad}},
    lambda bad: {"product": {"of": ["rougeL", {"bad": {"reward": bad}}]}},
    lambda bad: {"gate": {"of": "rougeL", "when": {"bad": {"reward": bad}}}},
    lambda bad: {"dense": {"of": {"clip": {"of": {"bad": {"reward": bad}}, "low": 0}}}},
])  # fmt: skip
@pytest.mark.parametrize(
    ("scores", "match"),
    [
        ([1.0, float("nan")], "Reward 'bad' returned 'total' = nan for example '1'"),
        ([1.0], r"Reward 'bad' returned 'total' of shape \(1,\) for 2 episodes"),
        (ValueError("oh"), "Reward 'bad' raised ValueError: oh"),
    ],
)
def test_what_is_wrong_with_a_part_names_the_part(wrap, scores, match):
    def bad(episodes):
        if isinstance(scores, Exception):
            raise scores
        return RewardResult(np.array(scores))

    with pytest.raises(RewardError, match=match):
        totals(wrap(bad))


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ({"product": {"of": "rougeL"}}, "multiplies a list"),
        ({"product": {"of": ["rougeL"]}}, "multiplies a list"),
        ({"product": {"of": ["rougeL", "rougeL"]}}, "two parts called 'rougeL'.*'reward'"),
        ({"gate": {"of": "rougeL"}}, r"'gate' needs the option 'when': write \{'gate'"),
        ("gate", "needs the options 'of' and 'when'"),
        ({"gate": {"of": {"open": {"reward": word_count}}, "when": "bleu"}}, "be called 'open'"),
        ({"gate": {"of": "rougeL", "when": "bleu", "at_least": "1"}}, "at_least of reward 'gate'"),
        ({"clip": {"of": "rougeL"}}, "'low', 'high' or both"),
        ({"clip": {"of": "rougeL", "low": 1, "high": 1}}, "low < high"),
        ({"clip": {"of": "rougeL", "hihg": 1}}, "does not take 'hihg'. Did you mean 'high'"),
        ({"normalise": {"of": "rougeL", "std": 0}}, "must be above 0"),
        ({"by_language": {}}, "a reward for each language"),
        ({"by_language": {False: "rougeL"}}, "put them in quotes"),
        ({"by_language": {"detect": "response", "en": "rougeL"}}, "no detect 'response'"),
        ({"by_language": {"detect": "prompt", "xx": "rougeL", "en": "bleu"}}, "cannot detect 'xx'"),
        ({"by_language": {"detect": "prompt", "en": "rougeL"}}, "needs two or more"),
        ({"dense": {"of": "rougeL", "every": 0}}, "'every' of reward 'dense' must be a whole"),
        ({"clip": {"of": {"dense": {"of": "rougeL"}}, "high": 1}}, "alone or in a sum"),
        ({"a": {"reward": word_count, "scale": 2}}, "takes no options here, but 'scale'"),
        ({"random": {"seed": 1.5}}, "must be whole"),
        ({"constant": {"value": float("nan")}}, "must be a number"),
        ({1: 2}, "given by its name"),
    ],
)  # fmt: skip
def test_a_composition_that_makes_no_sense_is_refused(spec, match):
    with pytest.raises(ConfigError, match=match):
        load_reward(spec)


# Normalisation.


def test_normalising_divides_by_the_deviation_on_samples_and_shifts_nothing():
    samples = episodes_of("a", "a b", "a b c d")  # 1, 2 and 4 words: variance 14/9
    std = np.sqrt(14 / 9)
    spec = fit_reward({"normalise": {"of": word_count, "weight": 2}}, samples)
    assert spec["normalise"]["std"] == pytest.approx(std)
    assert totals(spec) == pytest.approx([2 * 3 / std, 2 * 1 / std])
    scaled = load_reward(spec)(samples).total
    assert scaled.std() == pytest.approx(2)
    assert load_reward(spec)(episodes_of("")).total.tolist() == [0]
    assert components(spec)["normalise/word_count"] == [3, 1]


def test_every_normalise_in_a_description_is_fitted_the_inner_ones_first():
    samples = episodes_of("a", "a b", "a b c d")
    words = {"reward": "normalise", "of": word_count}
    spec = {
        "dense": {"of": {"clip": {"of": {"w": words}, "high": 2}}, "weight": 0.5},
        "outer": {"reward": "normalise", "of": {"product": {"of": [{"w": words}, word_count]}}},
        "pinned": {"reward": "normalise", "of": "rougeL", "std": 0.25},
        "nested": {"reward": {"normalise": {"of": word_count}}},
        "rougeL": 1,
    }
    assert needs_fit(spec)
    fitted = fit_reward(spec, samples)
    assert not needs_fit(fitted)
    assert needs_fit(spec), "the description given is left as it was"
    assert fit_reward(fitted, samples) == fitted
    std = np.sqrt(14 / 9)
    assert fitted["dense"]["of"]["clip"]["of"]["w"]["std"] == pytest.approx(std)
    squares = np.array([1, 4, 16]) / std
    assert fitted["outer"]["std"] == pytest.approx(squares.std())
    assert fitted["pinned"]["std"] == 0.25
    assert fitted["nested"]["reward"]["normalise"]["std"] == pytest.approx(std)
    assert fitted["rougeL"] == 1
    assert not any(map(needs_fit, ("rougeL", word_count, {"rougeL": 1})))


def test_a_deviation_that_is_unknown_or_0_is_an_error():
    with pytest.raises(RewardError, match=r"'rougeL' yet.*fit_reward.*'std'"):
        totals({"normalise": {"of": "rougeL"}})
    for responses, match in [(["cat", "cat"], "all score 1"), ([], "there are none")]:
        with pytest.raises(RewardError, match=match):
            fit_reward({"normalise": {"of": "rougeL"}}, episodes_of(*responses))


# Controls.


def test_random_scores_depend_on_the_example_the_response_and_the_seed_alone():
    first = totals("random")
    assert first == totals("random")
    one_by_one = [
        load_reward("random")([Episode(Example(str(i), "p", ("r",)), (Turn("assistant", text),))])
        for i, text in enumerate(RESPONSES)
    ]
    assert [result.total[0] for result in one_by_one] == first
    assert first != totals({"random": {"seed": 1}})
    same_text = load_reward("random")(episodes_of("x", "x")).total
    assert same_text[0] != same_text[1]
    code = (
        "import textenv; "
        "print(textenv.score('random', ['a cat sat', 'dogs'], ['', '']).total.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == first


def test_random_scores_are_uniform():
    drawn = load_reward("random")(episodes_of(*map(str, range(4000)))).total
    counts, _ = np.histogram(drawn, bins=10, range=(0, 1))
    # Each bin holds 400 on average, with a standard deviation of 19.
    assert counts.sum() == 4000
    assert np.abs(counts - 400).max() < 5 * 19
    assert np.isfinite(load_reward("random")(episodes_of("", "\ud83d", "\0" * 10**5)).total).all()


def test_a_constant_pays_the_same_for_everything():
    assert totals("constant") == [0, 0]
    assert totals({"constant": {"value": 0.5, "weight": 2}}) == [1, 1]


def test_scores_as_users_give_them_are_a_function_of_plain_numbers():
    def reward(episodes):
        return [1.0] * len(episodes)

    assert totals({"clip": {"of": reward, "high": 0.5}}) == [0.5, 0.5]
    assert textenv.score({"one": {"reward": reward, "weight": 3}}, ["x"], ["y"]).total == [3]
