"""`textenv rewards list` and `score`, and `textenv.score`: for who only wants scores."""

from __future__ import annotations

import json
from statistics import stdev

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import textenv
from textenv.cli import console, main
from textenv.errors import ConfigError
from textenv.rewards.catalog import REWARDS
from textenv.rewards.score import read_rows

FIELD_NAMES = (
    *("rouge1", "rouge2", "rougeL", "rougeLsum", "bleu", "chrf", "ter"),
    *("exact_match", "token_f1", "coverage", "numeric"),
)
# rougeL: 4/6, 0 and 1.
ROWS = [
    {"response": "a cat sat", "references": ["the cat sat", "dogs"]},
    {"response": "dogs", "references": "cats", "id": "d7"},
    {"response": "你好", "references": ["你好"], "prompt": "Greet."},
]


@pytest.fixture
def run(monkeypatch):
    """Runs a command line without the commands of other packages."""
    for module in (main, console):
        monkeypatch.setattr(module, "entry_points", lambda group: [])
    monkeypatch.setenv("COLUMNS", "100")

    def invoke(*arguments, input=None):
        return CliRunner().invoke(main.make_app(), ["rewards", *map(str, arguments)], input=input)

    return invoke


def lines_of(rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "Rows.jsonl"
    path.write_text(lines_of(ROWS), encoding="utf-8")
    return path


def read_out(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_names_that_the_field_knows_are_names_here():
    assert set(FIELD_NAMES) <= set(REWARDS)


def test_list_tells_of_every_reward_what_it_is(run):
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows] == list(REWARDS)
    for row in rows:
        assert row["description"].endswith((".", ":")), row
    words = " ".join(run("list").stdout.split())
    assert all(f"{row['name']} {row['family']}" in words for row in rows)


def test_a_row_comes_out_for_each_row_in_and_in_order(run, file):
    done = run("score", file, "--reward", "rougeL", "--json")
    assert done.exit_code == 0, done.output
    expected = [("line 1", pytest.approx(2 / 3)), ("d7", 0), ("line 3", 1)]
    assert read_out(done.stdout) == [
        {"id": id, "total": total, "components": {"rougeL": total}} for id, total in expected
    ]


def test_without_json_a_table_sums_up(run, file):
    words = run("score", file, "--reward", "rougeL").stdout.split()
    sd = stdev([2 / 3, 0, 1])
    expected = ["0.5556", f"{sd:.4f}", "0.0000", "1.0000"]
    assert words[:4] == ["mean", "sd", "min", "max"]
    assert words[4:14] == ["total", *expected, "rougeL", *expected]
    assert "3 rows" in " ".join(words)


def test_several_rewards_are_all_shown_and_summed(run, file):
    done = run(
        "score", file, "--json", "--reward", "rougeL",
        "--reward", "{exact_match: 2, short: {reward: clip, of: rougeL, high: 0.5, weight: -1}}",
    )  # fmt: skip
    rows = read_out(done.stdout)
    assert rows[0]["components"] == pytest.approx(
        {"rougeL": 2 / 3, "exact_match": 1, "short": 0.5, "short/rougeL": 2 / 3}
    )
    assert [row["total"] for row in rows] == pytest.approx([2 / 3 + 2 - 0.5, 0, 1 + 2 - 0.5])
    twice = run("score", file, "--reward", "rougeL", "--reward", "{rougeL: 2}")
    assert twice.exit_code == 2
    assert "given twice" in twice.stderr


def test_standard_input_and_a_file_to_write_do_as_well(run, file, tmp_path):
    out = tmp_path / "deep" / "scores.jsonl"
    done = run("score", "-", "--reward", "chrf", "--out", out, input=file.read_bytes())
    assert "3 rows" in done.stdout
    printed = run("score", file, "--reward", "chrf", "--json").stdout
    assert out.read_text(encoding="utf-8") == printed


def test_a_place_that_cannot_be_written_to_costs_no_score_and_no_rows(run, file, tmp_path):
    (tmp_path / "own.py").write_text("def called(episodes):\n    raise ValueError('scored')\n")
    reward = f"{tmp_path / 'own.py'}:called"
    before = file.read_bytes()
    for out, words in [
        (tmp_path, "it is a folder"),
        (file / "scores.jsonl", "is no folder"),
        (file, "--out would write over"),
    ]:
        done = run("score", file, "--reward", reward, "--out", out)
        assert done.exit_code == 2
        assert words in done.stderr
        assert "scored'" not in done.stderr
    assert file.read_bytes() == before


def test_further_keys_and_metadata_reach_the_reward(run, tmp_path):
    path = tmp_path / "rows.jsonl"
    spec = "{by_language: {de: exact_match, en: {constant: {value: 0.5}}}}"
    row = {"response": "Ja", "references": ["Ja"]}
    rows = [
        {**row, "target_language": "de"},
        {**row, "metadata": {"target_language": "en"}},
        {**row, "metadata": {"target_language": "en"}, "target_language": "de"},
    ]
    path.write_text(lines_of(rows), encoding="utf-8")
    done = run("score", path, "--reward", spec, "--json")
    assert [row["total"] for row in read_out(done.stdout)] == [1, 0.5, 0.5]


def test_a_row_without_a_score_is_null_with_its_reason_and_never_0(run, file, tmp_path):
    (tmp_path / "blind.py").write_text(
        "import numpy as np\n"
        "from textenv.rewards import RewardResult\n"
        "def blind(episodes):\n"
        "    valid = np.array([episode.response != 'dogs' for episode in episodes])\n"
        "    return RewardResult(np.ones(len(episodes)), {}, valid, {1: 'It sees no dogs.'})\n"
    )
    spec = f"{{blind: {{reward: '{tmp_path / 'blind.py'}:blind'}}, rougeL: 1}}"
    done = run("score", file, "--reward", spec, "--json")
    assert done.exit_code == 1
    assert "1 of 3 rows could not be scored. The first is 'd7': 'blind': It sees no dogs." in (
        " ".join(done.stderr.split())
    )
    rows = read_out(done.stdout)
    assert rows[1] == {
        "id": "d7", "total": None, "components": {}, "invalid": "'blind': It sees no dogs.",
    }  # fmt: skip
    assert rows[2]["total"] == 2
    summary = run("score", file, "--reward", spec).stdout
    assert "1.8333" in summary  # of the two that have a score: 1 + 2/3 and 2
    assert "2 rows" in summary


def test_odd_text_is_scored_and_comes_out_as_json(run, tmp_path):
    rows = [
        {"response": "", "references": [""], "id": "\ud83d"},
        {"response": "\ud83d \0", "references": ["a"]},
        {"response": "word " * 20_000, "references": ["word"]},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\ufeff" + lines_of(rows[:1]) + "\n" + lines_of(rows[1:]), encoding="utf-8")
    for name in ("rouge1", "rougeL", "exact_match", "token_f1"):
        done = run("score", path, "--reward", name, "--json")
        assert [row["id"] for row in read_out(done.stdout)] == ["\ud83d", "line 3", "line 4"], name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["has no rows"]),
        ("\n \n", ["has no rows"]),
        ('{"response": "a"}\n{"response": \n', ["Line 2 of", "Rows.jsonl' is not JSON"]),
        ('{"response": "a"}\n\n[1]\n', ["Line 3 of", "not a JSON object"]),
        ('{"responce": "a"}\n', ["Line 1", "no 'response'", "Did you mean 'responce'?"]),
        ('{"response": 3}\n', ["Line 1", "is 3; it has to be a text"]),
        ('{"response": "a", "reference": "b"}\n', ["Line 1", "call it 'references'"]),
        ('{"response": "a", "references": [1]}\n', ["Line 1", "reference", "is 1"]),
        ('{"response": "a", "references": null}\n', ["Line 1", "are None"]),
        ('{"response": "a", "references": {"a": 1}}\n', ["Line 1", "give a text, or a list"]),
        ('{"response": "a", "prompt": null}\n', ["Line 1", "prompt", "None"]),
        ('{"response": "a", "metadata": 3}\n', ["Line 1", "has to be an object"]),
        ('{"response": "a", "references": []}\n', ["'line 1'", "has none"]),
        ('{"response": "a"}\n' + "[" * 100_000, ["Line 2", "is not JSON"]),
        ('{"response": "a", "n": ' + "9" * 5000 + "}", ["Line 1", "a number is too long"]),
    ],
)
def test_a_bad_row_is_named_by_its_line(run, tmp_path, text, words):
    path = tmp_path / "Rows.jsonl"
    path.write_text(text, encoding="utf-8")
    done = run("score", path, "--reward", "rougeL")
    assert done.exit_code == 2
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


def test_a_file_that_is_no_text_or_not_there_is_refused(run, tmp_path):
    (tmp_path / "latin.jsonl").write_bytes(b'{"response": "a"}\n{"response": "\xe9"}\n')
    assert "Line 2" in run("score", tmp_path / "latin.jsonl", "--reward", "rougeL").stderr
    assert "No such file" in run("score", tmp_path / "none.jsonl", "--reward", "rougeL").stderr
    missing = run("score", tmp_path / "none.jsonl", "--reward", "rougel1")
    assert "Did you mean 'rouge" in missing.stderr


# From Python.


@pytest.mark.parametrize(
    "column", [list, tuple, np.array, pd.Series, iter, lambda x: pd.Series(x, index=[7, 3])]
)
def test_columns_may_be_lists_arrays_or_of_a_table(column):
    responses, references = ["a cat sat", "dogs"], ["the cat sat", "cats"]
    result = textenv.score("rougeL", column(responses), column(references), column(["", ""]))
    assert result.total == pytest.approx([2 / 3, 0])
    assert result.total.dtype == np.float64
    assert list(result.components) == ["rougeL"]


def test_several_references_may_be_an_array_too():
    result = textenv.score("rougeL", ["dogs", "x"], np.array([["cats", "dogs"], ["a", "b"]]))
    assert result.total.tolist() == [1, 0]


def test_a_reward_that_compares_with_nothing_needs_no_references():
    assert textenv.score("constant", ["a", "b"]).total.tolist() == [0, 0]
    with pytest.raises(textenv.RewardError, match="example '0' has none"):
        textenv.score("rougeL", ["a", "b"])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((["a"], [float("nan")]), "references of example '0' are nan"),
        ((["a", None], ["a", "b"]), "response of example '1' is None"),
        ((["a"], [["b", 3]]), "reference of example '0' is 3"),
        ((["a"], ["b"], [None]), "prompt of example '0' is None"),
        ((["a"], ["b"], None, ["k"]), "metadata of example '0' is 'k'"),
        ((["a"], ["b"], None, {"k": 1}), "'metadata' is dict"),
        (({"a": 1}, ["b"]), "'responses' is dict"),
        ((3, ["b"]), "'responses' is int"),
        ((b"a", ["b"]), "'responses' is bytes"),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(arguments, match):
    with pytest.raises(ConfigError, match=match):
        textenv.score("rougeL", *arguments)


def test_rows_are_episodes_as_an_environment_makes_them():
    (episode,) = read_rows([b'{"response": "hi", "prompt": "Greet.", "id": 4, "k": [1]}'], "here")
    assert (episode.example.id, episode.example.prompt, episode.response) == ("4", "Greet.", "hi")
    assert episode.example.references == ()
    assert episode.example.metadata == {"k": [1]}
