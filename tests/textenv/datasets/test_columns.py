"""What is made of a row's columns is what was written, or an error."""

from __future__ import annotations

import json

import pytest

from textenv.datasets.columns import FieldMap, names_by_value
from textenv.datasets.hashes import prompt_hash
from textenv.datasets.loading import load_rows_dataset
from textenv.errors import DatasetError
from textenv.tasks.qa import QATask


def join(values, *columns):
    row = dict(zip(columns, values, strict=True)) if columns else {"a": values}
    fields = FieldMap({"question": columns or "a"}, join={"question": " "})
    return fields.values(row).get("question")


@pytest.mark.parametrize(
    ("values", "joined"),
    [
        (["Tom has", 7, "apples?"], "Tom has 7 apples?"),
        ([1.5, None, "euros "], "1.5 euros"),
        ([float("nan"), " ", "a"], "a"),
        ([None, "", None], None),
    ],
)
def test_all_of_a_joined_list_is_in_the_text(values, joined):
    assert join(values) == join(values, *"abc") == joined


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (True, "of type bool"),
        ({"text": "b"}, "of type dict"),
        (["b"], "of type list"),
        (2.0, "How 2.0 was written is not known"),
    ],
)
def test_what_is_no_text_in_a_joined_list_is_refused(item, words):
    with pytest.raises(DatasetError, match=f"the list of 'question' holds an item .*{words}"):
        join(["a", item])


@pytest.mark.parametrize(
    "labels",
    [
        ["1", "2", "3", "4", "5"],
        ["a", "0"],
        ["true", "false"],
        ["True", "x"],
        ["-1", "a"],
        ["x", "1.0", "0.0"],
        {1: "yes", "1": "no"},
        {"1": "yes", "1.0": "no"},
        {True: "yes", "TRUE": "no"},
    ],
)
def test_labels_that_give_a_value_two_names_are_refused(labels):
    with pytest.raises(DatasetError, match=r"'labels' of 'kind' give the value .* Give a mapping"):
        names_by_value("kind", labels)


def test_names_that_are_their_own_index_or_truth_value_are_clear():
    assert names_by_value("a", ["0", "1"])["1"] == "1"
    assert names_by_value("a", ["false", "true"])["true"] == "true"
    assert names_by_value("a", ["10", "20"])["10"] == names_by_value("a", ["10", "20"])["0"] == "10"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("第1题？", "第1题?"),
        ("ＡＢ　c", "ab C"),
        ("ｶﾞ", "ガ"),
        ("Where\u200b is it", "Where is it"),
        ("co\u00adop", "coop"),
        ("\u2066who\u2069", "who"),
        ("\u2764\ufe0f", "\u2764"),
        ("می\u200cروم", "میروم"),
        ("葛\U000e0100", "葛"),
    ],
)
def test_prompts_that_look_alike_share_a_split(text, same):
    assert prompt_hash(text) == prompt_hash(same)
    assert prompt_hash(text) != prompt_hash(f"{same}s")


def write(tmp_path, document):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    return path


def test_a_row_whose_id_is_null_keeps_its_key(tmp_path):
    rows = {f"x{i}": {"question": f"q{i}", "answers": "a", "id": None} for i in range(20)}
    dataset = load_rows_dataset(str(write(tmp_path, rows)), QATask(), "train")
    assert {example.id for example in dataset} <= rows.keys()


def test_gathered_rows_that_differ_in_a_field_of_one_text_are_named(tmp_path):
    rows = [{"key": 1, "question": f"q{i}", "answers": "a"} for i in range(2)]
    spec = {"path": str(write(tmp_path, rows)), "gather": "key"}
    with pytest.raises(DatasetError, match="2 rows that are gathered here differ in 'question'"):
        load_rows_dataset(spec, QATask(), "train")
