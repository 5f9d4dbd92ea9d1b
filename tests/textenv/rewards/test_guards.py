"""Guards let human texts through, and stop denials, copies and lists of words."""

from __future__ import annotations

import pytest

from textenv.errors import ConfigError, RewardError
from textenv.rewards import load_reward, score
from textenv.rewards.style.guards import count_negations


def test_negations_are_counted_in_three_languages() -> None:
    texts = (
        "It is not so.",
        "Isn't it? No.",
        "Kein Haus, nie.",
        "他不是老师，也没有书。",
        "Noting",
    )
    assert [count_negations(text) for text in texts] == [1, 2, 2, 2, 0]


@pytest.mark.parametrize(
    "text", ["It isnt so", "It is n't so", "It isn\u02bct so", "It isn\u2019t so", "You cant"]
)
def test_a_contraction_negates_however_it_is_spelled(text: str) -> None:
    assert count_negations(text) == 1


@pytest.mark.parametrize("name", ["novelty", "grounding"])
def test_without_a_source_there_is_no_score(name: str) -> None:
    for prompt, metadata in (("", {}), (" ", {"context": ""}), ("", {"context": 3})):
        with pytest.raises(RewardError, match=f"'{name}' compares with a source"):
            score(name, ["A text."], prompts=[prompt], metadata=[metadata])


def test_negation_agrees_with_any_reference() -> None:
    found = score(
        "negation_agreement",
        ["It is not Paris", "Paris", "It is not true that it is not Paris", ""],
        [["Paris"], ["never", "Rome"], ["It is not Paris"], ["Paris"]],
    )
    assert found.total.tolist() == [0, 1, 0, 1]


def test_novelty_is_the_share_of_new_word_groups() -> None:
    # Of "a b c d x y" the triples abc, bcd stand in the prompt; cdx, dxy are new: 2 of 4.
    found = score({"novelty": {"enough": 1.0}}, ["a b c d x y"], ["-"], prompts=["a b c d e"])
    assert found.total.tolist() == [0.5]
    assert score("novelty", ["a b c d x y"], ["-"], prompts=["a b c d e"]).total.tolist() == [1]


@pytest.mark.parametrize("response", ["a b c", "A, b: c!", "p q r", "u v w", "", "new words"])
def test_copies_of_what_is_given_have_no_novelty(response: str) -> None:
    metadata = [{"title": "p q r", "context": "u v w"}]
    assert score("novelty", [response], ["-"], prompts=["a b c"], metadata=metadata).total == [0]


def test_novelty_takes_sound_options_only() -> None:
    for options in ({"n": 0}, {"n": 1.5}, {"n": True}, {"enough": 0}, {"enough": 2}):
        with pytest.raises(ConfigError, match="novelty"):
            load_reward({"novelty": options})
    with pytest.raises(ConfigError, match="grounding"):
        load_reward({"grounding": {"enough": 1.5}})


def test_grounding_is_the_share_of_content_words_in_the_source() -> None:
    # Content words: mills, closing, early, often; "mill" and "closed" are in the source.
    found = score(
        "grounding",
        ["The mills are closing early, often.", "The mill", "It is of the", "Boats sank."],
        ["-"] * 4,
        prompts=["The mill", "", "The mill", "The mill"],
        metadata=[{"context": "It was closed."}, {"context": "A mill."}, {}, {"title": "Boats"}],
    )
    assert found.total.tolist() == [1, 1, 0, 0]
    strict = score({"grounding": {"enough": 1.0}}, ["mills burn"], ["-"], prompts=["mill"])
    assert strict.total.tolist() == [0.5]


def test_prose_has_function_words_and_variety() -> None:
    texts = [
        "The mill was closed on the day of the flood.",
        "mill flood river dam",
        "the the the",
        "",
    ]
    found = score("prose", texts, ["-"] * 4)
    assert found.total[0] == 1
    assert found.total[1] == 0
    # One of three words is distinct, of which half is asked; and one of two pairs, of 3/4.
    assert found.components["variety"][2] == pytest.approx((1 / 3 / 0.5) * (1 / 2 / 0.75))
    assert found.total[3] == 0


def test_a_substring_is_found_in_a_row_after_normalisation() -> None:
    found = score(
        "substring_match",
        ["It is not the Saxon garden!", "saxon big garden", "Saxons garden", "", "a", "x"],
        ["Saxon Garden", "Saxon Garden", "Saxon Garden", "Saxon", "the", "the"],
    )
    assert found.total.tolist() == [1, 0, 0, 0, 1, 0]
