"""Texts of runs: filtered, searched, in order, as CSV."""

from __future__ import annotations

import csv
import io
import json

import pytest

from agents.serve.csv_files import metrics_csv, texts_csv, write_csv
from agents.serve.shown_texts import make_found, mark_words
from agents.serve.text_query import find_texts, read_query, read_texts
from agents.serve.watched_run import WatchedRun
from textenv.errors import ConfigError
from textenv.safe_text import for_csv


@pytest.fixture
def run(make_run):
    """Four rollouts (rewards 0.1 to 0.4), three looks, four examples answered thrice."""
    run = WatchedRun("a1", make_run(best=(0.9,) * 4))
    run.refresh()
    return run


def ask(run, **parameters):
    return find_texts([run], read_query([(key, str(v)) for key, v in parameters.items()]))


def texts_of(found):
    return [row["response"] for _, row in read_texts(found)]


def test_every_text_is_found_with_its_iteration_the_latest_first(run):
    found = ask(run)
    told = [(text.stage, text.place.part, text.iteration) for text in found]
    # The samples before training are of iteration 0, those of the best agent of iteration 2.
    assert told[:2] == [("rollout", "", 4), ("look", "", 4)]
    assert told.count(("sample", "after", 4)) == 4
    assert told.count(("sample", "best", 2)) == 4
    assert told.count(("sample", "before", 0)) == 4
    assert len(found) == 4 + 3 + 12
    assert [t[2] for t in told] == sorted((t[2] for t in told), reverse=True)


def test_filters_hold_at_their_ends(run):
    found = ask(run, stage="rollout", first=2, last=3)
    assert [text.iteration for text in found] == [3, 2]
    found = ask(run, low=0.2, high=0.3, stage="sample")
    assert sorted(text.place.reward for text in found) == [0.2, 0.2, 0.3]
    assert find_texts([run], read_query([("run", "other")])) == []
    assert len(find_texts([run], read_query([("run", "a1"), ("stage", "look")]))) == 3


def test_the_order_is_that_of_rewards_and_texts_without_one_come_last(run):
    with (run.folder / "rollouts.jsonl").open("a") as file:
        file.write(json.dumps({"iteration": 5, "id": "x", "response": "r", "reward": None}) + "\n")
    for order, sign in (("highest", -1), ("lowest", 1)):
        rewards = [text.place.reward for text in ask(run, order=order)]
        assert rewards[:-1] == sorted(rewards[:-1], key=lambda r: sign * r)
        assert rewards[-1] != rewards[-1]
    assert 5 not in [text.iteration for text in ask(run, low=-9)]


def test_a_search_finds_all_words_in_any_case_and_phrases_as_they_are(run):
    assert len(ask(run, search="RED green")) == 1
    assert len(ask(run, search='"red blue"')) == 2
    assert ask(run, search='"blue red"') == []
    assert len(ask(run, search="blue red")) == 2  # in any order
    assert len(ask(run, search="prompt", stage="sample")) == 12  # what was asked counts, too
    assert ask(run, search="absent") == []


def test_a_search_reads_what_json_writes_otherwise(run):
    row = {"iteration": 9, "id": "x", "prompt": "Größe", "response": 'say "Äpfel"\n<b>', "turns": 3}
    with (run.folder / "rollouts.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")  # ASCII: escapes for every other letter
        file.write(json.dumps(row | {"iteration": 10}, ensure_ascii=False) + "\n")
    for search in ("größe", "äpfel", "<B>", "Say"):
        assert [text.iteration for text in ask(run, search=search)] == [10, 9], search


def test_texts_that_came_since_are_found(run):
    assert len(ask(run, stage="rollout")) == 4
    path = run.folder / "rollouts.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert [text.iteration for text in ask(run, stage="rollout")] == [4, 3, 2]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"stage": "best"}, "no texts called 'best'. Choose rollout or look or sample"),
        ({"order": "id"}, "no order 'id'"),
        ({"first": "-1"}, "first iteration is '-1', which is no whole number"),
        ({"high": "nan"}, "highest reward is 'nan', which is no number"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(given, told):
    with pytest.raises(ConfigError, match=told):
        read_query(list(given.items()))


def test_a_query_is_what_its_parameters_read():
    given = [("run", "a"), ("run", "b"), ("stage", "look"), ("first", "3"), ("high", "0.5")]
    given += [("search", 'x "y z"'), ("order", "lowest")]
    assert read_query(given).to_parameters() == given
    assert read_query([("run", ""), ("low", " ")]).to_parameters() == []


def test_searched_words_are_marked_in_the_answer(run):
    pieces = mark_words("Red, red (blue)", ["red", "(blue"])
    assert [piece.text for piece in pieces if piece.is_new] == ["Red", "red", "(blue"]
    assert "".join(piece.text for piece in pieces) == "Red, red (blue)"
    (text,) = ask(run, search="green")
    shown = make_found(text, next(read_texts([text]))[1], ["green"])
    assert shown.answers[0].label == "run: validation, iteration 0,"
    assert [p.text for p in shown.answers[0].said[0].pieces if p.is_new] == ["green"]


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", " =", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}"]
)
def test_no_cell_is_a_formula(start):
    assert for_csv(f"{start}1+1") == f"'{start}1+1"


def test_numbers_and_other_texts_stay_as_they_are():
    assert [for_csv(value) for value in (-1.5, None, "a=1", "")] == [-1.5, None, "a=1", ""]


def test_a_csv_file_reads_as_what_was_written():
    rows = [["a,b", 'say "x"', "two\nlines"], [1, -0.5, None]] * 200
    text = "".join(write_csv(["=1", "b", "c"], rows))
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[0] == ["'=1", "b", "c"]
    assert read[1:] == [["a,b", 'say "x"', "two\nlines"], ["1", "-0.5", ""]] * 200


def test_metrics_and_texts_are_saved_whole(run):
    rows = list(csv.DictReader(io.StringIO("".join(metrics_csv(run)), newline="")))
    assert [row["rollout/reward_mean"] for row in rows] == [
        "0.2",
        "0.4",
        "0.6000000000000001",
        "0.8",
    ]
    assert [row["validation/reward"] for row in rows][::2] == ["", ""]
    found = ask(run, stage="look")
    rows = list(csv.DictReader(io.StringIO("".join(texts_csv(found)), newline="")))
    assert [(row["iteration"], row["response"]) for row in rows] == [
        ("4", "red blue the answer"),
        ("2", "red blue the answer"),
        ("0", "red green the answer"),
    ]
    assert texts_of(found) == [row["response"] for row in rows]
