"""Streams: the first rows of a split, kept on disk, the same whatever was asked before."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tracemalloc

import gymnasium as gym
import pytest

import textenv  # noqa: F401 - registers the environments
from textenv.datasets import SPLITS
from textenv.datasets.loading import load_rows_dataset
from textenv.datasets.reading import Stream
from textenv.datasets.streaming import keep_rows
from textenv.errors import DatasetError
from textenv.tasks.summarize import SummarizeTask

TASK = SummarizeTask()


def pairs(n):
    return [{"document": f"text {i}", "summary": f"s{i}"} for i in range(n)]


def write(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "rows.jsonl", pairs(300))


def load(path, split="train", **keys):
    return load_rows_dataset({"path": path, "streaming": True, **keys}, TASK, split)


def read(dataset):
    return [(e.id, e.prompt, e.references) for e in map(dataset.__getitem__, range(len(dataset)))]


def load_error(path, **keys):
    with pytest.raises(DatasetError) as caught:
        load(path, **keys)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_a_stream_read_to_its_end_is_the_set_itself(tmp_path, suffix):
    path = write(tmp_path / f"rows.{suffix}", pairs(300))
    for split in SPLITS:
        whole = load_rows_dataset(path, TASK, split)
        assert read(load(path, split, rows=None)) == read(whole)


def test_a_streamed_folder_is_the_folder_itself(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "corpus"
    folder.mkdir()
    write(folder / "train.jsonl", pairs(100))
    write(folder / "test.jsonl", pairs(7))
    for split in SPLITS:
        whole = load_rows_dataset(str(folder), TASK, split)
        assert read(load(str(folder), split)) == read(whole)


def test_fewer_rows_are_the_first_ones_of_the_split(file):
    whole = read(load(file, "validation", rows=None))
    assert 8 < len(whole) < 60
    assert read(load(file, "validation", rows=5)) == whole[:5]
    longer = load(file, "validation", rows=10_000)
    assert len(longer) == len(whole)


def test_an_example_does_not_depend_on_what_was_asked_before(file):
    first, second = load(file, rows=50), load(file, rows=50)
    forward = [first[index].id for index in range(50)]
    backward = [second[index].id for index in reversed(range(50))]
    assert forward == backward[::-1]
    with pytest.raises(IndexError):
        first[50]


def test_another_process_plays_the_same_episodes(file):
    code = (
        "import gymnasium as gym, textenv\n"
        f"data = {{'path': {str(file)!r}, 'streaming': True, 'rows': 40}}\n"
        "env = gym.make('TextSummarize-v0', dataset=data)\n"
        "print(*(env.reset(seed=seed)[1]['example_id'] for seed in range(8)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    env = gym.make("TextSummarize-v0", dataset={"path": str(file), "streaming": True, "rows": 40})
    ids = [env.reset(seed=seed)[1]["example_id"] for seed in range(8)]
    assert done.stdout.split() == ids
    assert len(set(ids)) > 4


@pytest.mark.parametrize("suffix", ["jsonl", pytest.param("csv", marks=pytest.mark.slow)])
def test_memory_holds_where_the_rows_stand_but_not_the_rows(tmp_path, suffix):
    rows = [{**row, "document": f"{i} " + "word " * 2000} for i, row in enumerate(pairs(1500))]
    path = write(tmp_path / f"big.{suffix}", rows)
    assert path.stat().st_size > 15e6
    load(path, rows=2)  # what is imported once is not counted
    tracemalloc.start()
    dataset = load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(dataset) > 1000
    assert peak < 1e6


def test_a_file_of_json_lines_is_not_copied(file, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a row was written out again")

    monkeypatch.setattr("textenv.datasets.streaming.json.dumps", refuse)
    assert len(load(file)) > 200


def test_rows_that_are_left_out_still_count_in_the_numbers_of_the_others(tmp_path):
    rows = pairs(40)
    rows[1]["summary"] = " "
    dataset = load(write(tmp_path / "rows.csv", rows), rows=None, skip="missing")
    for id, prompt, _ in read(dataset):
        assert id == f"rows/{int(prompt.split()[1]) + 1}"
    assert "text 1" not in {prompt for _, prompt, _ in read(dataset)}


def test_a_bad_row_is_named_if_it_is_reached(tmp_path):
    rows = pairs(6000)
    rows[900]["summary"] = None
    path = write(tmp_path / "rows.jsonl", rows)
    assert len(load(path, rows=500)) == 500
    message = load_error(path)
    assert "rows, row 901 (id 'rows/901'): column 'summary' has no value" in message
    dataset = load(path, skip="unusable")
    assert dataset.report.skipped == {"column 'summary' has no value for 'summary'": 1}


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parts.jsonl"])
def test_rows_that_cannot_be_read_are_left_out_on_request(tmp_path, suffix):
    path = write(tmp_path / f"a.{suffix}", pairs(60))
    lines = path.read_text().splitlines()
    lines.insert(5, "one,two,three" if suffix == "csv" else '{"document": ')
    path.write_text("\n".join(lines) + "\n")
    if suffix == "parts.jsonl":  # of several files, rows are copied
        write(tmp_path / "b.jsonl", pairs(70)[60:])
        path = tmp_path
    assert "line 6: " in load_error(path)
    whole = load_rows_dataset({"path": path, "skip": "unusable"}, TASK, "train")
    streamed = load(path, skip="unusable", rows=None)
    assert read(streamed) == read(whole)
    assert streamed.report.skipped == whole.report.skipped
    assert streamed.report.places == whole.report.places
    assert streamed.report.rows_read == whole.report.rows_read


def test_floats_of_a_streamed_parquet_are_as_they_were_written(tmp_path):
    rows = [{"document": f"text {i}", "summary": (1.5, 7.0)[i % 2]} for i in range(8)]
    dataset = load(write(tmp_path / "a.parquet", rows), rows=None)
    assert {reference for _, _, (reference,) in read(dataset)} == {"1.5", "7"}
    assert "without a point" in dataset.report.notes[0]


def test_a_stream_that_breaks_off_says_after_how_many_rows():
    def rows():
        yield from pairs(3)
        raise ConnectionError("the line went dead")

    with pytest.raises(DatasetError, match=r"'far/train' broke off after 3 rows: the line went"):
        keep_rows(Stream("far/train", None, rows()), lambda number, row: True, None, print)
    kept = keep_rows(Stream("far/train", None, rows()), lambda number, row: True, 3, print)
    assert [dict(row) for row in kept.rows] == pairs(3)


def test_mistakes_are_named(tmp_path, file):
    listed = tmp_path / "rows.json"
    listed.write_text(json.dumps(pairs(3)))
    assert "end in '.json' cannot be streamed. Use one of .jsonl" in load_error(listed)
    assert "Did you mean 'rows.jsonl'" in load_error(tmp_path / "row.jsonl")
    assert "it cannot be streamed" in load_error(file, gather="document")
    assert "'rows' must be a whole number from 1 up" in load_error(file, rows=0)
    assert "'streaming' must be true or false" in load_error(file, streaming="yes")
    with pytest.raises(DatasetError, match="'rows' goes with"):
        load_rows_dataset({"path": file, "rows": 5}, TASK, "train")
    file.write_text('{"document": "d", "summary": "s"}\n{"document": \n')
    assert "rows.jsonl, line 2: not valid JSON" in load_error(file)
    (tmp_path / "empty.jsonl").write_text("")
    assert "has no rows in 'empty'" in load_error(tmp_path / "empty.jsonl")
