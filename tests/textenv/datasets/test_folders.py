"""Folders are read file by file, and their names tell the splits by stated rules, or are asked."""

from __future__ import annotations

import json

import pytest

from textenv.datasets import SPLITS, load_dataset
from textenv.datasets.folders import find_files
from textenv.errors import DatasetError, TextEnvError
from textenv.tasks.math import MathTask
from textenv.tasks.summarize import SummarizeTask

TASK = SummarizeTask()


def make(root, *names):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"document": f"{name} {i}", "summary": f"s {number}"} for i in range(30)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def found(root, splits=None, name=None):
    files = find_files(root, name, splits or {}).splits
    return {
        split: [path.relative_to(root).as_posix() for path in paths]
        for split, paths in files.items()
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train.jsonl", "dev.jsonl", "test.jsonl"], {"train": 1, "validation": 1, "test": 1}),
        (["x.train.csv", "x.val.csv", "x_TEST.csv"], {"train": 1, "validation": 1, "test": 1}),
        (["trainset.csv", "dev-set.csv"], {"train": 1, "validation": 1}),
        (["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"], {"train": 2}),
        (["train_a.json", "train_b.json", "eval2.json"], {"train": 2, "test": 1}),
        (["train/algebra/1.json", "train/geometry/2.json", "test/1.json"], {"train": 2, "test": 1}),
        (["train/books.jsonl", "train/news.jsonl", "test/books.jsonl"], {"train": 2, "test": 1}),
        (["training_data/test.jsonl", "training_data/train.jsonl"], {"train": 1, "test": 1}),
        (["part_a.jsonl", "part_b.jsonl"], {"train": 2}),
        (["en.json", "de.json", "contest.json", "latest.json"], {"train": 4}),
        (["train.jsonl.gz", "validation.jsonl.gz"], {"train": 1, "validation": 1}),
        (["train.jsonl", ".cache/test.jsonl", "__MACOSX/test.jsonl"], {"train": 1}),
        (["train.jsonl", "README.md", "LICENSE", "dataset_infos.json"], {"train": 1}),
    ],
)
def test_words_of_names_tell_the_splits(tmp_path, names, expected):
    make(tmp_path, *names)
    assert {split: len(files) for split, files in found(tmp_path).items()} == expected


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["part_a.jsonl", "part_b.jsonl", "old_test.jsonl"], "part_a.jsonl names none"),
        (["train.jsonl", "extra.jsonl"], "extra.jsonl names none"),
        (["train_test.jsonl", "train.jsonl"], "train_test.jsonl names several"),
        (["train.jsonl", "dev.jsonl", "validation.jsonl"], "'validation' goes by several names"),
        (["train.jsonl", "test.jsonl", "eval.jsonl"], "'test' goes by several names"),
        (["train.jsonl", "train.csv"], "'train' may be there twice, in files of several formats"),
        (["train.jsonl", "test.jsonl", "test_hard.jsonl"], "may be test.jsonl or test_hard.jsonl"),
        (["train.jsonl", "test.txt"], "test.txt cannot be read"),
    ],
)
def test_a_folder_whose_files_could_be_taken_in_two_ways_is_refused(tmp_path, names, said):
    with pytest.raises(DatasetError) as caught:
        find_files(make(tmp_path, *names), None, {})
    message = str(caught.value)
    assert said in message
    assert '{"path": ..., "splits": {' in message
    for name in names:
        assert name in message


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"train": "part_*", "test": "old_test.jsonl"}, [2, 0, 1]),
        ({"train": ["part_a.jsonl", "part_b.jsonl"]}, [2, 0, 0]),
        ({"train": "*.jsonl"}, [3, 0, 0]),
        ({"test": "./old_*", "validation": "part_a.*"}, [0, 1, 1]),
        ({"train": "*/part_a.jsonl", "test": "part_?.jsonl"}, [1, 0, 2]),
        ({"train": "**/part_a.jsonl"}, [3, 0, 0]),
        ({"train": "old/**"}, [3, 0, 0]),
        ({"train": "old/*", "test": "old/x/b[1].jsonl"}, [1, 0, 1]),
    ],
)
def test_files_and_patterns_may_be_named(tmp_path, splits, expected):
    make(tmp_path, "part_a.jsonl", "part_b.jsonl", "old_test.jsonl")
    make(tmp_path, "old/part_a.jsonl", "old/x/part_a.jsonl", "old/x/b[1].jsonl")
    files = found(tmp_path, splits)
    assert [len(files.get(split, [])) for split in SPLITS] == expected


def test_the_rest_is_carved_from_the_files_that_are_train(tmp_path):
    make(tmp_path, "part_a.jsonl", "part_b.jsonl", "old_test.jsonl")
    spec = {"path": tmp_path, "splits": {"train": "part_*", "test": "old_test.jsonl"}}
    report = load_dataset(spec, TASK, "test").report
    assert report.sizes["train"] + report.sizes["validation"] == 60
    assert report.sizes["test"] == 30
    del spec["splits"]["test"]
    assert load_dataset(spec, TASK, "train").report.notes == ("Not read: old_test.jsonl.",)


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        ({"train": "part_c*"}, "No file of"),
        ({"train": "c.jsonl"}, r"'\*\*/c.jsonl' names those in its folders, too"),
        ({"train": "part_*", "test": "part_a.jsonl"}, "cannot be 'train' and 'test' at once"),
    ],
)
def test_patterns_that_match_nothing_or_twice_are_refused(tmp_path, splits, said):
    make(tmp_path, "part_a.jsonl", "part_b.jsonl", "sub/c.jsonl")
    with pytest.raises(DatasetError, match=said):
        find_files(tmp_path, None, splits)


SHARD = "train-0000{}-of-00003{}"


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ([SHARD.format(i, ".jsonl") for i in (0, 2)], "train-00001-of-00003.jsonl"),
        (["a-1-of-3.jsonl", "a-3-of-3.jsonl"], "a-2-of-3.jsonl"),
        (["d/x-00001-of-00002.jsonl"], "x-00000-of-00002.jsonl"),
        (["a-1-of-2.jsonl", "a-2-of-2.jsonl"], None),
        (["top-5-of-10.jsonl", "3-of-5.jsonl"], None),
        ([SHARD.format(i, ".jsonl") for i in (0, 1, 2)], None),
    ],
)
def test_a_missing_file_of_several_is_named(tmp_path, names, missing):
    make(tmp_path, *names)
    if missing is None:
        assert load_dataset(tmp_path, TASK, "train").report.rows_read == 30 * len(names)
        return
    with pytest.raises(DatasetError, match=f"'train' are missing in .*: {missing}"):
        load_dataset(tmp_path, TASK, "train")
    spec = {"path": tmp_path, "splits": {"train": "**"}}
    assert missing in load_dataset(spec, TASK, "train").report.notes[0]
    if "0-of" in names[0]:
        assert missing in load_dataset(tmp_path / names[0], TASK, "train").report.notes[0]


@pytest.mark.parametrize("splits", [{"test": "b.jsonl"}, {"test": "b.*", "validation": "a.jsonl"}])
def test_rows_that_are_declared_to_be_held_out_are_not_trained_on(tmp_path, splits):
    spec = {"path": make(tmp_path, "a.jsonl", "b.jsonl"), "splits": splits}
    with pytest.raises(DatasetError, match="can serve as 'train'"):
        load_dataset(spec, TASK, "train")
    assert len(load_dataset(spec, TASK, "test")) == 30
    assert load_dataset({**spec, "split": "test"}, TASK, "train").report.rows_read == 30


def test_a_copy_may_hold_one_of_the_splits_that_are_named(tmp_path):
    spec = {"path": make(tmp_path, "train.jsonl"), "splits": {"train": "train", "test": "dev"}}
    assert load_dataset(spec, TASK, "train").report.rows_read == 30


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("a/test.jsonl", "test"),
        ("b/my_eval_notes.jsonl", "eval"),
        ("c/test", None),
        ("a", "test"),
        ("dev", "dev"),
        ("e/train_test.jsonl", None),
        ("e", None),
    ],
)
def test_rows_whose_name_holds_them_out_are_divided_with_a_note(tmp_path, path, word):
    make(tmp_path, "a/test.jsonl", "b/my_eval_notes.jsonl", "c/test/train.jsonl", "dev/x.jsonl")
    make(tmp_path, "e/train_test.jsonl")
    spec = {"path": tmp_path / path}
    if path == "e":
        spec["splits"] = {"train": "*"}
    notes = load_dataset(spec, TASK, "train").report.notes
    assert [f"name says {word}" in note for note in notes] == [True] * (word is not None)


def test_values_of_a_folder_are_those_of_the_file(tmp_path):
    summaries = ["None", "N/A", "null", "NaN", "007", "2020-01-31", "1e3", "true", "", "1_000"]
    text = "document,summary\n" + "".join(f"d {i},{s}\n" for i, s in enumerate(summaries))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "rows.csv").write_text(text)
    spec = {"path": tmp_path / "corpus", "skip": "missing"}
    said = [
        e.references[0]
        for split in SPLITS
        for dataset in [load_or_none(spec, split)]
        if dataset
        for e in map(dataset.__getitem__, range(len(dataset)))
    ]
    assert sorted(said) == sorted(filter(None, summaries))


def load_or_none(spec, split):
    try:
        return load_dataset(spec, TASK, split)
    except TextEnvError:
        return None


def test_a_failure_names_the_file_its_line_and_the_cause(tmp_path):
    make(tmp_path, "train-0.jsonl", "train-1.jsonl", "test.jsonl")
    with (tmp_path / "train-1.jsonl").open("a") as file:
        file.write('{"document": "d", "summary": \n')
    with pytest.raises(DatasetError, match=r"train-1.jsonl, line 31: not valid JSON: Expecting v"):
        load_dataset(tmp_path, TASK, "train")
    (tmp_path / "train-1.jsonl").write_text('{"document": "d", "summary": [3.5, true]}')
    with pytest.raises(DatasetError, match=r"train-1.jsonl, row 1 \(id .* summary of type bool"):
        load_dataset(tmp_path, TASK, "train")


def test_a_split_that_cannot_be_used_does_not_keep_the_others_from_being_used(tmp_path):
    make(tmp_path, "train.jsonl")
    (tmp_path / "test.jsonl").write_text('{"document": "d"}\n{"document": "e"}\n')
    report = load_dataset(tmp_path, TASK, "train").report
    assert set(report.sizes) == {"train", "validation"}
    assert report.notes[0].startswith("Split 'test' cannot be used: Dataset")
    with pytest.raises(DatasetError, match="no column for 'summary'"):
        load_dataset(tmp_path, TASK, "test")


def test_many_files_of_one_object_each_are_rows(tmp_path):
    for i in range(40):
        path = tmp_path / "MATH" / ("train" if i < 35 else "test") / "algebra" / f"{i}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        row = {"problem": f"p {i}", "level": "Level 1", "solution": f"It is $\\boxed{{{i}}}$."}
        path.write_text(json.dumps(row, indent=4))
    report = load_dataset(tmp_path / "MATH", MathTask(), "test").report
    assert report.sizes["test"] == 5
    assert report.rows_read == 40


CARD = """---
license: mit
configs:
- config_name: short
  data_files:
  - {split: train, path: short/train-*}
  - {split: test, path: [short/held.jsonl]}
- config_name: long
  data_files: long/*.jsonl
---
# Text
"""


def test_the_card_of_a_copy_of_the_hub_names_its_files(tmp_path):
    make(tmp_path, "short/train-0.jsonl", "short/train-1.jsonl", "short/held.jsonl", "long/a.jsonl")
    (tmp_path / "README.md").write_text(CARD)
    short = found(tmp_path, name="short")
    assert {split: len(files) for split, files in short.items()} == {"train": 2, "test": 1}
    assert found(tmp_path, name="long") == {"train": ["long/a.jsonl"]}
    with pytest.raises(DatasetError, match=r"holds the configurations short, long. Choose one"):
        find_files(tmp_path, None, {})
    (tmp_path / "README.md").write_text("# No front matter\n")
    assert found(tmp_path, name="long") == {"train": ["long/a.jsonl"]}
    with pytest.raises(DatasetError, match=r"has no folder 'lnog'. Did you mean 'long'"):
        find_files(tmp_path, "lnog", {})


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("data_files: a.jsonl", {"train": ["a.jsonl"]}),
        ("data_files: [a.jsonl, sub/a.jsonl]", {"train": ["a.jsonl", "sub/a.jsonl"]}),
        (
            "data_files: {train: a.jsonl, test: [b.jsonl]}",
            {"train": ["a.jsonl"], "test": ["b.jsonl"]},
        ),
        ("data_files: '*/a.jsonl'", {"train": ["sub/a.jsonl"]}),
        ("data_dir: sub", {"train": ["sub/a.jsonl", "sub/x/b.jsonl"]}),
        ("{data_dir: ./sub/, data_files: a.jsonl}", {"train": ["sub/a.jsonl"]}),
        ("{data_dir: sub, data_files: '**/b*'}", {"train": ["sub/x/b.jsonl"]}),
        ("data_dir: nosub", "has no folder 'nosub', which its card names"),
        ("data_dir: ..", "does not say which files"),
        ("data_files: [[a]]", "does not say which files"),
        ("data_files: [{path: a}]", "does not say which files"),
    ],
)
def test_a_card_names_files_in_each_form_of_the_hub(tmp_path, declared, expected):
    make(tmp_path, "a.jsonl", "b.jsonl", "sub/a.jsonl", "sub/x/b.jsonl")
    inner = declared if declared.startswith("{") else f"{{{declared}}}"
    (tmp_path / "README.md").write_text(f"---\nconfigs:\n- {inner}\n---\n")
    if isinstance(expected, dict):
        assert found(tmp_path) == expected
    else:
        with pytest.raises(DatasetError, match=expected):
            find_files(tmp_path, None, {})


def test_a_folder_without_rows_says_what_it_holds(tmp_path):
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"holds no files that can be read.*rows.xlsx"):
        load_dataset(tmp_path, TASK, "train")
