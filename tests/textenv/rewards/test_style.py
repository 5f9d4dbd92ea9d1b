"""Rewards of style, and of forms that a program checks: numbers by hand and by other packages."""

from __future__ import annotations

import builtins
import urllib.request
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textenv.errors import ConfigError, RewardError, UnknownNameError
from textenv.rewards import RewardResult, load_reward, score
from textenv.rewards.style.detected_language import COMMON_LANGUAGES, Language
from textenv.rewards.style.readability import count_syllables
from textenv.rewards.style.writing import split_sentences

CHEAP = {
    "polarity": {},
    "readability": {},
    "length": {"least": 3, "most": 9},
    "regex": {"pattern": "[a-z ]+"},
    "json": {"required": ["a"]},
    "constraints": {"constraints": [{"check": "max_words", "n": 3}]},
}


def judge(name: str, responses: list[str], metadata: Any = None, **options: Any) -> RewardResult:
    spec = load_reward({name: options})
    result = score(spec, responses, [""] * len(responses), metadata=metadata)
    # Without the name of the sum's one part.
    parts = {key.removeprefix(f"{name}/"): value for key, value in result.components.items()}
    return RewardResult(result.total, parts)


@pytest.fixture(scope="module")
def english() -> Language:
    return Language("en", among=["de", "fr"])


@pytest.mark.parametrize("name", CHEAP)
@given(st.lists(st.text(), max_size=4))
@settings(max_examples=25, deadline=None)
def test_any_text_has_a_score_from_0_to_1(name: str, responses: list[str]) -> None:
    result = judge(name, [*responses, "", "\ud800", "a" * 3000], **CHEAP[name])
    assert np.all((result.total >= 0) & (result.total <= 1))


@pytest.mark.parametrize("name", CHEAP)
def test_the_batch_a_text_comes_in_does_not_change_its_score(name: str) -> None:
    texts = ["Go on.", '{"a": 1}', "What a wonderful day, truly!", "", "it is"]
    together = judge(name, texts, **CHEAP[name]).total.tolist()
    assert together == [judge(name, [text], **CHEAP[name]).total[0] for text in texts]
    assert len(set(together)) > 1
    assert judge(name, [], **CHEAP[name]).total.shape == (0,)


# Polarity


def test_polarity_is_vaders_compound_score_between_0_and_1() -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    texts = ["What a wonderful day!", "This is not good at all.", "", "The table is brown."]
    compound = [SentimentIntensityAnalyzer().polarity_scores(t)["compound"] for t in texts]
    result = judge("polarity", texts)
    assert result.components["compound"].tolist() == compound
    assert result.total == pytest.approx([(1 + c) / 2 for c in compound])
    assert result.total[0] > 0.5 > result.total[1]
    assert result.total[2:].tolist() == [0.5, 0.5]


# Readability


def test_syllables_by_hand() -> None:
    words = {
        1: "a make makes baked the cat through worlds she",
        2: "table tables wanted boxes prism layer being people technique something",
        3: "media radio radio's celebrate beautiful linguistics",
        4: "variety continuing celebrated",
        5: "international",
    }
    counted = {n: [count_syllables(word) for word in of_n.split()] for n, of_n in words.items()}
    assert counted == {n: [n] * len(of_n.split()) for n, of_n in words.items()}


def test_reading_ease_and_grade_by_hand() -> None:
    # 6 words in 1 sentence, 6 syllables: 206.835 - 1.015 * 6 - 84.6 = 116.145,
    # 0.39 * 6 + 11.8 - 15.59 = -1.45. Then 2 sentences of 2 words, 7 syllables in 4 words:
    # 206.835 - 1.015 * 2 - 84.6 * 1.75 = 56.755, 0.39 * 2 + 11.8 * 1.75 - 15.59 = 5.84.
    result = judge("readability", ["The cat sat on the mat.", "A table matters. Begin!"])
    assert result.components["words_per_sentence"].tolist() == [6, 2]
    assert result.components["syllables_per_word"].tolist() == [1, 7 / 4]
    assert result.components["reading_ease"] == pytest.approx([116.145, 56.755])
    assert result.components["grade"] == pytest.approx([-1.45, 5.84])
    assert result.total == pytest.approx([1, 0.56755])
    assert judge("readability", ["Unbelievable internationalization."]).total.tolist() == [0]


def test_a_grade_window_pays_within_and_less_beside_it() -> None:
    # The grade is -1.45: within, 2 below a window with a margin of 4, and 4 above one.
    text = "The cat sat on the mat."
    for grade, paid in (([-2, 0], 1.0), ([0.55, 8], 0.5), ([-9, -5.45], 0.0)):
        assert judge("readability", [text], grade=grade).total[0] == pytest.approx(paid)


@pytest.mark.parametrize("text", ["Mr. " * 200_000, " " * 200_000 + "x", "\n" * 200_000 + "x"])
def test_long_texts_are_cut_into_sentences_at_once(text: str) -> None:
    # Hours, were the time to grow with the square of the length.
    assert split_sentences(text) == [text.strip()]


def test_text_without_english_words_is_not_readable() -> None:
    result = judge("readability", ["", "?!", "今天", "12 34"], grade=[-5, 5])
    assert result.total.tolist() == [0, 0, 0, 0]
    accents = judge("readability", ["café crème", "cafe creme"]).components["reading_ease"]
    assert accents[0] == accents[1]


# Language


def test_language_is_linguas_confidence(english: Language) -> None:
    from lingua import Language as Named
    from lingua import LanguageDetectorBuilder

    detector = LanguageDetectorBuilder.from_languages(
        Named.ENGLISH, Named.FRENCH, Named.GERMAN
    ).build()
    texts = ["The weather is cold today.", "Das Wetter ist heute kalt.", "Il fait froid", "ok"]
    result = score(english, texts, [""] * 4)
    expected = [detector.compute_language_confidence(text, Named.ENGLISH) for text in texts]
    assert result.total == pytest.approx(expected, abs=1e-9)
    assert result.total[0] > 0.9 > 0.1 > result.total[1]
    assert result.components["confidence"].min() > 1 / 3


def test_text_without_letters_is_in_no_language(english: Language) -> None:
    texts = ["", "123 !!", "今天天气很冷", "\ud800"]
    assert score(english, texts, [""] * 4).total.tolist() == [0, 0, 0, 0]


def test_each_example_may_want_a_language_of_its_own() -> None:
    reward = Language(among=["English", "de"])
    texts = ["The weather is cold today."] * 2
    metadata = [{"target_language": "en"}, {"target_language": "German"}]
    result = score(reward, texts, ["", ""], metadata=metadata)
    assert result.total.sum() == pytest.approx(1)
    assert result.total[0] > 0.9
    with pytest.raises(RewardError, match="knows no language for example '0'"):
        score(reward, ["a"], [""])
    with pytest.raises(RewardError, match="'fr', which reward 'language' does not consider"):
        score(reward, ["a"], [""], metadata=[{"target_language": "fr"}])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"language": "englisch"}, "no language 'englisch'. Did you mean 'english'"),
        ({"language": "en", "among": ["xx"]}, "no language 'xx'"),
        ({"language": "en", "among": "de"}, "is a list, not 'de'"),
        ({"language": "en", "among": []}, "considers one language alone"),
    ],
)
def test_languages_that_are_none_are_refused(options, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        judge("language", ["a"], **options)


def test_common_languages_are_known() -> None:
    assert len(Language(among=COMMON_LANGUAGES)._considered) == len(COMMON_LANGUAGES)


# Length


def test_length_falls_in_a_line_beside_its_window() -> None:
    texts = [" ".join("word" for _ in range(n)) for n in (0, 5, 9, 10, 20, 24, 30, 31)]
    # Below: 5, 10 - 9 = 1 and 10 words short of 10. Above: 4, 10 and 11 words beyond 20.
    result = judge("length", texts, least=10, most=20, margin=10)
    assert result.total == pytest.approx([0, 0.5, 0.9, 1, 1, 0.6, 0, 0])
    assert result.components["n_words"].tolist() == [0, 5, 9, 10, 20, 24, 30, 31]
    hard = judge("length", texts, least=10, most=20, margin=0)
    assert hard.total.tolist() == [0, 0, 0, 1, 1, 0, 0, 0]


def test_an_empty_response_never_reaches_a_least_length() -> None:
    # The margin of 10 would leave 0.8; the fall takes 2 words instead.
    assert judge("length", ["", "a", "a b"], least=2).total == pytest.approx([0, 0.5, 1])
    assert judge("length", ["", "a b c"], most=2).total == pytest.approx([1, 0.9])


def test_characters_of_cjk_text_are_words() -> None:
    result = judge("length", ["今天天气很冷 ok", "naïve café"], most=4)
    assert result.components["n_words"].tolist() == [7, 2]
    characters = judge("length", [" abc "], most=2, unit="characters", margin=2)
    assert characters.total.tolist() == [0.5]
    assert characters.components["n_characters"].tolist() == [3]


# Forms


def test_a_pattern_has_to_describe_the_response_or_be_in_it() -> None:
    texts = ["Answer: 12", " 12\n", "12 or 13", ""]
    assert judge("regex", texts, pattern=r"\d+").total.tolist() == [0, 1, 0, 0]
    assert judge("regex", texts, pattern=r"\d+", match="search").total.tolist() == [1, 1, 1, 0]
    assert judge("regex", ["YES"], pattern="(?i)yes|no").total.tolist() == [1]


def test_json_is_paid_for_its_keys_and_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"$ref": "#/$defs/age"}},
        "$defs": {"age": {"type": "integer", "minimum": 0}},
    }
    texts = [
        '{"name": "Anna", "age": 3}',
        '```json\n{"name": "Anna", "age": 3}\n```',
        '{"name": "Anna"}',
        '{"name": "Anna", "age": "three"}',
        '["name", "age"]',
        "name: Anna",
        '{"name": "Anna", "age": NaN}',
        '{"name": "Anna", "age": 3} and so on',
        "[" * 100_000,
        "",
    ]
    result = judge("json", texts, required=["name", "age"], schema=schema)
    assert result.components["parses"].tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert result.components["keys"].tolist() == [1, 1, 0.5, 1, 0, 0, 0, 0, 0, 0]
    assert result.components["valid"].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert result.total.tolist() == [1, 1, 0.5, 0, 0, 0, 0, 0, 0, 0]
    assert judge("json", ["3", "nil"]).total.tolist() == [1, 0]
    assert judge("json", ["```json \r\n[1]\r\n```"]).total.tolist() == [1]
    # An infinite float, of which jsonschema cannot tell whether it is a multiple.
    assert judge("json", ["1e999"], schema={"multipleOf": 0.1}).total.tolist() == [0]


def test_a_schema_fetches_nothing(monkeypatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda request: opened.append(request))
    schema = {"$ref": "https://example.invalid/schema.json"}
    with pytest.raises(ConfigError, match=r"refers to 'https://example.invalid/schema.json'"):
        judge("json", ["{}"], schema=schema)
    assert opened == []


def test_constraints_are_met_on_average_and_all_of_them() -> None:
    constraints = [
        {"check": "max_words", "n": 4},
        {"check": "json", "values": {"a": 1, "b": 2}},
    ]
    # The first has 4 words, and one right value of two.
    result = judge("constraints", ['{"a": 1, "b": 3}', ""], constraints=constraints)
    assert result.components["satisfied"].tolist() == [0, 0]
    assert result.total[1] == 0
    assert result.total[0] == pytest.approx((1 + 0.5) / 2)
    own = judge("constraints", ["Go on."], metadata=[{"constraints": constraints[:1]}])
    assert (own.total[0], own.components["satisfied"][0]) == (1, 1)
    with pytest.raises(RewardError, match="example '0' has none"):
        judge("constraints", ["a"])


@pytest.mark.parametrize(
    ("name", "options", "error", "match"),
    [
        ("readability", {"grade": 6}, ConfigError, "lowest and the highest grade"),
        ("readability", {"grade": [8, 6]}, ConfigError, "ends before it begins"),
        ("readability", {"grade": [6, "8"]}, ConfigError, "must be a number"),
        ("readability", {"margin": 0}, ConfigError, "use more than 0"),
        ("length", {}, ConfigError, "is missing: give 'least'"),
        ("length", {"least": 9, "most": 3}, ConfigError, "goes from 9 to 3"),
        ("length", {"least": -1}, ConfigError, "goes from -1 to None"),
        ("length", {"most": 3, "margin": -1}, ConfigError, "'margin' .* use 0 or more"),
        ("length", {"most": 3, "unit": "tokens"}, ConfigError, "no unit 'tokens'"),
        ("regex", {}, ConfigError, "needs the option 'pattern'"),
        ("regex", {"pattern": "(a"}, ConfigError, "not a regular expression: missing"),
        ("regex", {"pattern": "a", "match": "some"}, ConfigError, "no match 'some'"),
        ("json", {"required": "name"}, ConfigError, "lists keys, not 'name'"),
        (
            "json",
            {"schema": {"type": "int"}},
            ConfigError,
            "schema .* is not valid: 'int' is not valid",
        ),
        ("constraints", {"constraints": []}, ConfigError, "is a list such as"),
        ("constraints", {"constraints": [{"check": "rhymes"}]}, UnknownNameError, "rhymes"),
    ],
)
def test_options_that_make_no_sense_are_refused(name: str, options, error, match: str) -> None:
    with pytest.raises(error, match=match):
        load_reward({name: options})


@pytest.mark.parametrize(
    ("name", "options", "package"),
    [("language", {"language": "en"}, "lingua"), ("json", {"schema": {}}, "jsonschema")],
)
def test_a_missing_package_is_named_with_what_installs_it(
    name: str, options, package: str, monkeypatch
) -> None:
    real_import = builtins.__import__

    def without_it(module: str, *args: Any, **kwargs: Any) -> Any:
        if module.partition(".")[0] == package:
            raise ImportError(module)
        return real_import(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_it)
    with pytest.raises(ConfigError, match=r"pip install textenv\[style\]"):
        load_reward({name: options})
