import numpy as np
import pytest

from textenv.benchmark.agreement.ratings import hold_preferences, make_preferences, make_ratings
from textenv.errors import ConfigError

ROWS = [
    {"prompt": "p", "response": "a", "references": ["x"], "system": "s", "q": 1, "r": "2.5"},
    {"prompt": "p", "response": "b", "references": "x", "system": "t", "q": 3, "r": ""},
    {"prompt": "o", "response": "c", "references": [], "system": "s", "q": None, "r": None},
]


def test_rows_without_a_rating_are_left_out():
    found = make_ratings(ROWS, ["q", "r"])
    assert found.left_out == 1
    assert [episode.response for episode in found.episodes] == ["a", "b"]
    assert found.human["q"].tolist() == [[1.0], [3.0]]
    np.testing.assert_equal(found.human["r"], [[2.5], [np.nan]])


def test_texts_with_one_prompt_are_one_item():
    found = make_ratings(ROWS[:2], ["q"])
    assert found.layout.items.tolist() == [0, 0]
    assert found.layout.system_names == ("s", "t")
    assert [group.tolist() for group in found.layout.groups()] == [[0, 1]]
    assert make_ratings(ROWS[:2], ["q"], item="system").layout.items.tolist() == [0, 1]


def test_annotators_stand_in_columns_or_in_a_list():
    rows = [dict(ROWS[0], r=4, many=[1, None, 2]), dict(ROWS[1], r=5, many=[3])]
    assert make_ratings(rows, ["q,r"]).human["q,r"].tolist() == [[1, 4], [3, 5]]
    np.testing.assert_equal(
        make_ratings(rows, ["many"]).human["many"], [[1, np.nan, 2], [3, np.nan, np.nan]]
    )


def test_rewards_can_read_further_columns():
    (first, _) = make_ratings([dict(ROWS[0], number="7"), ROWS[1]], ["q"]).episodes
    assert first.example.metadata["number"] == "7"


@pytest.mark.parametrize(
    ("rows", "human", "options", "message"),
    [
        (ROWS, [], {}, "Name the columns"),
        (ROWS, ["qq"], {}, "There is no column 'qq' with a rating. Did you mean 'q'"),
        (ROWS, ["system"], {}, "Row 1 has 's' as 'system'; a rating is a number"),
        (ROWS, ["q"], {"item": "topic"}, "There is no column 'topic'"),
        (ROWS, ["q"], {"system": "sistem"}, "Did you mean 'system'"),
        (ROWS[1:], ["q"], {}, "Only 1 of 2 rows"),
        ([{"q": 1, "text": "a"}, {"q": 2, "text": "b"}], ["q"], {}, "no 'response'"),
        ([dict(ROWS[0], q="inf"), ROWS[1]], ["q"], {}, "a rating is finite"),
    ],
)
def test_what_is_wrong_is_said(rows, human, options, message):
    with pytest.raises(ConfigError, match=message):
        make_ratings(rows, human, **options)


def test_preferences_come_as_chosen_and_rejected():
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    rows = [
        {"prompt": "p", "chosen": "good", "rejected": "bad"},
        {"prompt": messages[:1], "chosen": messages, "rejected": messages[1:]},
    ]
    assert hold_preferences(rows, [])
    found = make_preferences(rows)
    assert [e.response for e in found.episodes] == ["good", "ho", "bad", "ho"]
    assert found.episodes[1].example.prompt == "hi"
    assert found.preferred.tolist() == [1, 1]
    assert found.items.tolist() == [0, 1]


def test_preferences_come_as_a_or_b_or_tie():
    pair = {"prompt": "p", "response_a": "x", "response_b": "y"}
    rows = [dict(pair, better=word) for word in ("a", "B", "tie", "")]
    assert hold_preferences(rows, ["better"])
    found = make_preferences(rows, "better")
    assert found.preferred.tolist() == [1, -1, 0]
    assert found.left_out == 1
    with pytest.raises(ConfigError, match="Row 1 has 'left' as 'better'; write a, b or tie"):
        make_preferences([dict(pair, better="left")], "better")
