"""Datasets from files and folders: columns, splits, and mistakes named where they are."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import pytest

from textenv.datasets.base import SPLITS
from textenv.datasets.loading import load_rows_dataset
from textenv.errors import DatasetError, UnknownNameError
from textenv.examples import Example, Turn
from textenv.tasks.base import Field, Task


class PairTask(Task):
    fields = (
        Field("document", ("article", "text")),
        Field("summary", ("target",)),
        Field("title", required=False),
    )

    def example(self, id, row):
        if not isinstance(row["document"], str):
            raise DatasetError(f"Example '{id}' has a document that is not text.")
        return Example(id, row["document"], (row["summary"],), {"title": row.get("title")})

    def opening(self, example):
        return (Turn("user", example.prompt),)


TASK = PairTask()


def pairs(n):
    return [{"document": f"text {i}", "summary": f"s{i}"} for i in range(n)]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_any(path, rows):
    if path.suffix == ".jsonl":
        write_jsonl(path, rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        pyarrow = pytest.importorskip("pyarrow")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def read_all(spec, split, task=TASK):
    dataset = load_rows_dataset(spec, task, split)
    return [dataset[i] for i in range(len(dataset))]


def load_error(spec, split="train", kind=DatasetError):
    with pytest.raises(kind) as caught:
        load_rows_dataset(spec, TASK, split)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_every_format_gives_the_same_examples_and_splits(tmp_path, suffix):
    import pyarrow.parquet  # noqa: F401 - `write_any` finds it through `pyarrow`

    rows = pairs(60)
    path = write_any(tmp_path / f"rows.{suffix}", rows)
    reference = write_jsonl(tmp_path / "reference.jsonl", rows)
    for split in SPLITS:
        read = [(e.prompt, e.references) for e in read_all(path, split)]
        assert read == [(e.prompt, e.references) for e in read_all(str(reference), split)]


def test_the_splits_of_a_file_share_no_row_and_lose_none(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", pairs(200))
    found = {split: {e.prompt for e in read_all(path, split)} for split in SPLITS}
    assert sum(map(len, found.values())) == 200
    assert set.union(*found.values()) == {f"text {i}" for i in range(200)}
    assert len(found["train"]) > 130
    assert min(map(len, found.values())) > 5


def test_rows_of_one_group_share_a_split(tmp_path):
    rows = [{**row, "doc": i // 4} for i, row in enumerate(pairs(160))]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    group_of = {row["document"]: row["doc"] for row in rows}
    spec = {"path": path, "group": "doc"}
    groups = [{group_of[e.prompt] for e in read_all(spec, split)} for split in SPLITS]
    assert set.union(*groups) == set(range(40))
    assert sum(map(len, groups)) == 40


def test_ids_are_the_files_own_or_its_name_and_row_number(tmp_path):
    rows = [{"id": 7, **pairs(1)[0]}, *pairs(30)[1:]]
    path = write_jsonl(tmp_path / "tales.jsonl", rows)
    ids = {e.id for split in SPLITS for e in read_all(path, split)}
    assert ids == {"7", *(f"tales/{number}" for number in range(2, 31))}


def test_a_mapping_beats_the_fields_own_name_which_beats_its_aliases(tmp_path):
    row = {"text": "alias", "document": "own name", "body": "mapped", "target": "t"}
    path = write_jsonl(tmp_path / "rows.jsonl", [row])
    (split,) = [s for s in SPLITS if not raises(path, s)]
    assert read_all(path, split)[0].prompt == "own name"
    spec = {"path": path, "columns": {"document": "body"}, "group": "target"}
    (split,) = [s for s in SPLITS if not raises(spec, s)]
    assert read_all(spec, split)[0].prompt == "mapped"


def raises(spec, split, task=TASK):
    try:
        load_rows_dataset(spec, task, split)
    except DatasetError:
        return True
    return False


def test_a_column_within_a_column_is_named_with_a_dot(tmp_path):
    rows = [{"pair": {"en": row["document"], "de": row["summary"]}} for row in pairs(40)]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    spec = {"path": path, "columns": {"document": "pair.en", "summary": "pair.de"}}
    first = read_all(spec, "train")[0]
    assert first.references == (first.prompt.replace("text ", "s"),)


def test_csv_values_stay_the_text_that_they_are(tmp_path):
    path = tmp_path / "rows.csv"
    answers = ["007", "None", "NA", "nan", "1e3", 'a "b", c', "two\nlines"]
    write_any(path, [{"text": f"q{i}", "target": answer} for i, answer in enumerate(answers)])
    read = [
        e.references[0]
        for split in SPLITS
        if not raises(path, split)
        for e in read_all(path, split)
    ]
    assert sorted(read) == sorted(answers)


def test_a_line_separator_inside_a_text_does_not_end_its_row(tmp_path):
    row = {"document": "one\u2028two\u0085three", "summary": "s"}
    path = tmp_path / "rows.jsonl"
    path.write_text("\ufeff" + (json.dumps(row, ensure_ascii=False) + "\n\n") * 3, encoding="utf-8")
    (split,) = [s for s in SPLITS if not raises(path, s)]
    assert [e.prompt for e in read_all(path, split)] == [row["document"]]


def test_rows_with_extra_columns_of_mixed_types_are_read(tmp_path):
    rows = [{**row, "note": [1, "a", None, {"b": 2}][i % 4]} for i, row in enumerate(pairs(40))]
    assert read_all(write_jsonl(tmp_path / "rows.jsonl", rows), "train")


@pytest.mark.parametrize("empty", [None, "", "  ", [], [""], float("nan")])
def test_a_missing_reference_is_named_by_row_and_id_when_loading(tmp_path, empty):
    rows = pairs(12)
    rows[4] |= {"id": "fifth", "summary": empty}
    message = load_error(write_jsonl(tmp_path / "tales.jsonl", rows))
    assert "tales.jsonl, line 5 (id 'fifth')" in message
    assert "'summary' has no value" in message


def test_a_value_of_the_wrong_type_is_found_when_loading(tmp_path):
    rows = [*pairs(12), {"document": 3, "summary": "s"}]
    message = load_error(write_jsonl(tmp_path / "tales.jsonl", rows))
    assert (
        "tales.jsonl, line 13 (id 'tales/13'): Example 'tales/13' has a document that is not"
        in message
    )


def test_a_missing_column_is_answered_with_those_that_exist(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"body": "b", "target": "t"}])
    message = load_error(path)
    assert "no column for 'document' (nor article, text)" in message
    assert "body, target" in message
    assert f'Name one: {{"path": "{path}", "columns": {{"document": "..."}}}}.' in message


def test_all_missing_columns_are_named_at_once_to_be_copied(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", [{"body": "b", "title": "t"}])
    message = load_error(path)
    assert "no column for 'document' (nor article, text) and 'summary' (nor target)" in message
    assert f'{{"path": "{path}", "columns": {{"document": "...", "summary": "..."}}}}' in message
    spec = {"path": path, "columns": {"document": "body", "summaries": "title"}}
    unknown = load_error(spec, kind=UnknownNameError)
    assert "no field 'summaries'. The fields of PairTask are document, summary, " in unknown


def test_unknown_names_are_answered_with_the_nearest(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", pairs(3))
    wrong = [
        ({"path": path, "colums": {}}, "dataset key 'colums'. Did you mean 'columns'"),
        ({"path": path, "columns": {"documnt": "document"}}, "Did you mean 'document'"),
        ({"path": path, "columns": {"document": "sumary"}}, "Did you mean 'summary'"),
        ({"path": path, "group": "docment"}, "Did you mean 'document'"),
    ]
    for spec, message in wrong:
        assert message in load_error(spec, kind=UnknownNameError)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "", "has no rows"),
        ("a.json", "[]", "has no rows"),
        ("a.csv", "document,summary\n", "has no rows"),
        ("a.jsonl", '{"document": "d"}\n{"document": \n', "a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", '{"document": "d"}\n3\n', "a.jsonl, line 2: found a number"),
        ("a.json", '[{"document": "d"},\n}]', "a.json, line 2: not valid JSON"),
        ("a.json", "[1]", "a.json, row 1: found a number"),
        ("a.csv", "document,summary\na,b,c\n", "a.csv, line 2: the row has another number"),
        ("a.csv", "document,summary\na\n", "a.csv, line 2: the row has another number"),
        ("a.csv", 'document,summary\n"a" b,c\n', "a.csv, line 2: not valid CSV"),
        ("a.parquet", "no parquet", "not valid Parquet"),
        ("a.txt", "text", "files that end in '.txt' are not read. Use one of .json"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_is_wrong(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    assert message in load_error(path)


def test_other_mistakes_are_named(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", pairs(3))
    assert "Did you mean 'rows.jsonl'" in load_error(tmp_path / "row.jsonl")
    assert "lacks 'path'" in load_error({"columns": {}})
    assert "'columns' must be a mapping" in load_error({"path": path, "columns": ["document"]})
    assert "'revision' has no meaning for a local file" in load_error(
        {"path": path, "revision": "main"}
    )
    (tmp_path / "latin.csv").write_bytes("document,summary\ngr\xfcn,a".encode("latin-1"))
    assert "latin.csv: this is not UTF-8 text. It may be cp1252" in load_error(
        tmp_path / "latin.csv"
    )


def test_an_empty_split_says_how_rows_are_divided(tmp_path):
    path = write_jsonl(tmp_path / "rows.jsonl", pairs(1))
    messages = [load_error(path, split) for split in SPLITS if raises(path, split)]
    assert len(messages) == 2
    assert all("none of its 1 rows falls into it" in message for message in messages)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in splits, which stands for a data set of the hub."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "corpus"
    path.mkdir()
    write_jsonl(path / "train.jsonl", pairs(100))
    held_out = [{"document": f"held out {i}", "summary": "s"} for i in range(5)]
    write_jsonl(path / "test.jsonl", held_out)
    return path


def test_a_data_set_keeps_its_own_splits_and_carves_the_others_from_train(folder, capfd):
    found = {split: read_all(str(folder), split) for split in SPLITS}
    assert [e.prompt for e in found["test"]] == [f"held out {i}" for i in range(5)]
    assert found["test"][0].id == "corpus/test/1"
    train, validation = ({e.prompt for e in found[s]} for s in ("train", "validation"))
    assert train.isdisjoint(validation)
    assert train | validation == {f"text {i}" for i in range(100)}
    assert 2 < len(validation) < 25
    assert capfd.readouterr() == ("", "")


def test_one_named_split_is_divided_like_a_single_file(folder):
    spec = {"path": str(folder), "split": "train"}
    found = [{e.prompt for e in read_all(spec, split)} for split in SPLITS]
    assert sum(map(len, found)) == len(set.union(*found)) == 100
    assert min(map(len, found)) > 2
    assert "no split 'trian'. Did you mean 'train'" in load_error(
        {"path": str(folder), "split": "trian"}
    )


def test_a_missing_configuration_is_answered_with_those_that_exist(folder):
    files = {"train": "train.jsonl", "test": "test.jsonl"}
    configs = (
        "".join(
            f"- config_name: {name}\n  data_files: {{split: {split}, path: {path}}}\n"
            for name, (split, path) in zip(("short", "long"), files.items(), strict=True)
        )
        .replace("data_files: {", "data_files: [{")
        .replace("l}", "l}]")
    )
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    message = load_error(str(folder))
    assert "short" in message
    assert "long" in message
    assert "long" in load_error({"path": str(folder), "name": "lnog"})


def test_an_unreachable_hub_is_answered_at_once_and_with_what_works_offline(tmp_path):
    code = (
        "from textenv.datasets.loading import load_rows_dataset\n"
        "from textenv.tasks.summarize import SummarizeTask\n"
        "load_rows_dataset('nobody/nothing', SummarizeTask(), 'train')\n"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert "DatasetError: Dataset 'nobody/nothing' cannot be loaded from the Hugging Face" in last
    assert "Without a network, use the embedded dataset 'news', or a local JSON" in last


class ListTask(Task):
    """Takes whatever its fields hold."""

    fields = (Field("document"), Field("summary"), Field("turns", required=False))

    def example(self, id, row):
        summary = row["summary"]
        references = tuple(summary) if isinstance(summary, list) else (summary,)
        return Example(id, str(row["document"]), references, {"turns": row.get("turns")})

    def opening(self, example):
        return (Turn("user", example.prompt),)


def save_folder(path, rows, features=None):
    import datasets

    datasets.Dataset.from_list(rows, features=features).save_to_disk(path)
    return path


def by_split(spec, task=TASK):
    return {split: read_all(spec, split, task) for split in SPLITS if not raises(spec, split, task)}


def test_rows_are_gathered_into_one_example_wherever_they_stand(tmp_path):
    groups = [f"g{i % 30}" for i in range(90)]
    rows = [
        {"key": key, "document": f"about {key}", "summary": f"said {i // 60} of {key}"}
        for i, key in enumerate(groups)
    ]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    found = by_split({"path": path, "gather": "key"}, ListTask())
    assert sum(map(len, found.values())) == 30
    by_id = {example.id: example for examples in found.values() for example in examples}
    assert set(by_id) == {f"rows/{i + 1}" for i in range(30)}
    # A text that comes twice (i // 60 is 0 at i and at i + 30) is one reference.
    assert by_id["rows/4"].references == ("said 0 of g3", "said 1 of g3")
    folder = save_folder(tmp_path / "rows", rows)
    assert by_split({"path": folder, "gather": "key"}, ListTask()).keys() == found.keys()
    for split, examples in by_split({"path": folder, "gather": "key"}, ListTask()).items():
        assert [e.references for e in examples] == [e.references for e in found[split]]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_every_row_of_every_split_is_checked_when_a_set_is_loaded(tmp_path, kind):
    rows = pairs(6000)
    rows[5900]["summary"] = rows[5950]["summary"] = None
    path = tmp_path / ("rows.jsonl" if kind == "file" else "rows")
    write_jsonl(path, rows) if kind == "file" else save_folder(path, rows)
    where = "rows.jsonl, line 5901" if kind == "file" else "rows/train, row 5901"
    for split in SPLITS:
        message = load_error(path, split)
        assert where in message
        assert "2 of 6000 rows cannot be used." in message
        assert '"skip": "unusable"' in message


def test_rows_without_a_value_are_left_out_on_request_wherever_they_lie(tmp_path):
    import datasets

    blank = ["", " \n\t", "\u00a0", "\u3000", None]
    rows = [{"a": {"b": [f"text {i}", ""]}, "c": {"d": f"s{i}"}} for i in range(30)]
    rows += [{"a": {"b": [value, value]}, "c": {"d": "s"}} for value in blank]
    rows += [{"a": {"b": ["text"]}, "c": {"d": value}} for value in blank]
    rows += [{"a": {"b": None}, "c": {"d": "s"}}, {"a": {"b": []}, "c": {"d": "s"}}]
    text = datasets.Value("string")
    features = datasets.Features({"a": {"b": datasets.List(text)}, "c": {"d": text}})
    folder = save_folder(tmp_path / "rows", rows, features)
    file = write_jsonl(tmp_path / "rows.jsonl", rows)
    keys = {"columns": {"document": "a.b", "summary": "c.d"}, "skip": "missing"}
    found = [by_split({"path": path, **keys}, ListTask()) for path in (file, folder)]
    for split in SPLITS:
        assert [e.prompt for e in found[0][split]] == [e.prompt for e in found[1][split]]
    prompts = [e.prompt for examples in found[0].values() for e in examples]
    assert sorted(prompts) == sorted(str([f"text {i}", ""]) for i in range(30))


def test_rows_that_the_task_refuses_are_left_out_on_request_unless_all_are(tmp_path):
    rows = [{"document": f"text {i}", "summary": "s"} for i in range(20)]
    path = write_jsonl(tmp_path / "rows.jsonl", [*rows, {"document": 3, "summary": "s"}])
    found = by_split({"path": path, "skip": "unusable"})
    assert sum(map(len, found.values())) == 20
    write_jsonl(path, [{"document": i, "summary": "s"} for i in range(20)])
    message = load_error({"path": path, "skip": "unusable"})
    assert "Not one of the 20 rows can be used. rows.jsonl, line 1" in message
    assert "'skip' must be 'missing' or 'unusable'" in load_error({"path": path, "skip": True})


def test_lists_are_joined_labels_named_blanks_filled_and_records_zipped(tmp_path):
    rows = [
        {"texts": ["One.", " ", "Two. "], "kind": 1, "who": [0, 1, 1], "said": ["a", "b", " "]},
        {"texts": ["Three."], "kind": -1, "who": [1], "said": ["c"]},
    ]
    path = write_jsonl(tmp_path / "rows.jsonl", [{**row, "part": "a"} for row in rows])
    spec = {
        "path": path,
        "group": "part",
        "columns": {
            "document": "texts",
            "summary": "kind",
            "turns": {"role": "who", "text": "said", "in": ["x", "y"]},
        },
        "join": {"document": " "},
        "labels": {"kind": ["bad", "good"], "who": ["user", "system"]},
        "fill": {"summary": "none"},
    }
    first, second = read_all(spec, "train", ListTask())
    assert (first.prompt, first.references) == ("One. Two.", ("good",))
    assert (second.prompt, second.references) == ("Three.", ("none",))
    assert first.metadata["turns"] == [
        {"role": "user", "text": "a", "in": "x"},
        {"role": "system", "text": "b", "in": "y"},
    ]
    rows[0]["who"] = [0]
    write_jsonl(path, [{**row, "part": "a"} for row in rows])
    with pytest.raises(DatasetError, match="must be equally long, not 1 of 'who', 3 of 'said'"):
        load_rows_dataset(spec, ListTask(), "train")


def test_splits_may_be_named_and_those_that_are_not_are_taken_from_train(folder):
    renamed = {"path": str(folder), "splits": {"train": "train", "validation": "test"}}
    validation = read_all(renamed, "validation")
    assert [e.prompt for e in validation] == [f"held out {i}" for i in range(5)]
    train, test = ({e.prompt for e in read_all(renamed, s)} for s in ("train", "test"))
    assert train.isdisjoint(test)
    assert train | test == {f"text {i}" for i in range(100)}
    wrong = {"path": str(folder), "splits": {"train": "trian"}}
    assert "named 'trian', which is to be 'train'. It holds test.jsonl" in load_error(wrong)
    assert "no split 'dev'" in load_error(
        {"path": str(folder), "splits": {"dev": "test"}}, kind=UnknownNameError
    )
