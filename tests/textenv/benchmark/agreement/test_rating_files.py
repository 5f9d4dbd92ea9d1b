import json
import pickle

import numpy as np
import pytest

from textenv.benchmark.agreement.rating_files import read_rated_rows
from textenv.errors import ConfigError


def write(tmp_path, name, data):
    path = tmp_path / name
    if name.endswith(".pkl"):
        path.write_bytes(pickle.dumps(data, 3))
    elif name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in data), encoding="utf-8")
    else:
        path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def test_rows_of_ones_own_are_read_from_json_lines_and_csv(tmp_path):
    row = {"prompt": "p", "response": "r", "quality": "3"}
    assert read_rated_rows(write(tmp_path, "a.jsonl", [row])) == [row]
    assert read_rated_rows(write(tmp_path, "a.csv", "prompt,response,quality\np,r,3\n")) == [row]


def test_summeval_has_three_experts_and_five_others(tmp_path):
    expert = {"coherence": 2, "relevance": 4}
    row = {
        "id": "dm-1",
        "decoded": "A summary .",
        "expert_annotations": [expert, {"coherence": 1, "relevance": 5}],
        "turker_annotations": [{"coherence": 3, "relevance": 3}],
        "references": ["One .", "Two ."],
        "model_id": "M11",
        "text": "The article .",
    }
    (found,) = read_rated_rows(write(tmp_path, "annotations.jsonl", [row]))
    assert found == {
        "item": "dm-1",
        "system": "M11",
        "prompt": "The article .",
        "response": "A summary .",
        "references": ["One .", "Two ."],
        "coherence": [2, 1],
        "relevance": [4, 5],
        "turker_coherence": [3],
        "turker_relevance": [3],
    }


def test_unieval_dialogue_keeps_its_context(tmp_path):
    row = {
        "source": "hi \n hello \n\n",
        "system_id": "Argmax",
        "system_output": "i see .",
        "context": "a fact",
        "scores": {"naturalness": 2.0, "overall": 3.0},
    }
    (found,) = read_rated_rows(write(tmp_path, "topical_chat.json", [row]))
    assert found["item"] == found["prompt"] == "hi \n hello \n\n"
    assert (found["response"], found["system"], found["context"]) == ("i see .", "Argmax", "a fact")
    assert (found["naturalness"], found["overall"]) == (2.0, 3.0)
    assert found["references"] == []


def test_bartscore_summaries_are_a_row_each(tmp_path):
    data = {
        "doc": {
            "src": "The article .",
            "ref_summ": "One .",
            "ref_summs": ["One .", "Two ."],
            "sys_summs": {
                "M1": {"sys_summ": "First .", "scores": {"coherence": 1.5}},
                "M2": {"sys_summ": "Second .", "scores": {"coherence": 4.0}},
            },
        }
    }
    first, second = read_rated_rows(write(tmp_path, "data.pkl", data))
    assert (first["system"], first["response"], first["coherence"]) == ("M1", "First .", 1.5)
    assert (second["system"], second["references"]) == ("M2", ["One .", "Two ."])
    assert first["item"] == second["item"] == "doc"


def test_realsumm_is_read_without_its_marks_or_numpy(tmp_path):
    data = {
        52: {
            "doc_id": 52,
            "ref_summ": "<t> one sentence . </t>  <t> two . </t>",
            "system_summaries": {
                "bart_out.txt": {
                    "system_summary": "<t> said so . </t>",
                    "scores": {"litepyramid_recall": 0.7, "js-2": np.float64(-0.5)},
                }
            },
        }
    }
    (found,) = read_rated_rows(write(tmp_path, "abs.pkl", data))
    assert found["references"] == ["one sentence . two ."]
    assert found["response"] == "said so ."
    assert (found["litepyramid_recall"], found["js-2"]) == (0.7, -0.5)
    assert (found["item"], found["system"]) == ("52", "bart_out.txt")


def test_data_to_text_and_translations(tmp_path):
    data = {
        0: {"src": "inform(x)", "sys_summ": "X .", "scores": {"quality": 5.0}, "ref_summs": ["Y"]}
    }
    (found,) = read_rated_rows(write(tmp_path, "bagel.pkl", data))
    assert (found["prompt"], found["response"], found["quality"]) == ("inform(x)", "X .", 5.0)
    better = {"sys_name": "A.1", "sys": "good", "scores": {}}
    pair = {"src": "gut", "ref": "fine", "better": better, "worse": {"sys": "bad", "scores": {}}}
    (found,) = read_rated_rows(write(tmp_path, "wmt.pkl", {0: pair}))
    assert (found["chosen"], found["rejected"], found["references"]) == ("good", "bad", ["fine"])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("data.pkl", [1, 2], "a pickle of no known layout"),
        ("data.pkl", {"a": {"text": "x"}}, "a pickle of no known layout"),
        ("data.pkl", {}, "has no rows"),
        ("data.docx", "x", "does not end like a file that can be read"),
        ("data.jsonl", [], "has no rows"),
        ("data.csv", "", "data.csv"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, name, data, message):
    with pytest.raises(ConfigError, match=message):
        read_rated_rows(write(tmp_path, name, data))


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match="is no file"):
        read_rated_rows(tmp_path / "nowhere.jsonl")
