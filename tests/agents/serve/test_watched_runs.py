"""Runs that are found, and what each does by now."""

from __future__ import annotations

import json
import os
import time

import pytest

from agents.serve import watched_runs
from agents.serve.metric_columns import MetricColumns
from agents.serve.watched_run import WatchedRun
from agents.serve.watched_runs import WatchedRuns
from agents.training.report.run_record import read_run
from textenv.errors import ConfigError

UNFINISHED = ("samples", "rollouts", "looks", "before")


def watch(folder):
    run = WatchedRun("id", folder)
    run.refresh()
    return run


def silence(folder, seconds):
    """Makes the files of a run older."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - seconds,) * 2)


def without_gaps(rows):
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def test_a_watched_run_is_what_the_report_reads(make_run, add_iteration):
    folder = make_run(best=(0.9,) * 4)
    run = watch(folder)
    assert run.record().metrics == without_gaps(read_run(folder).metrics)
    add_iteration(folder, 5)
    run.refresh()
    record, other = run.record(), read_run(folder)
    assert record.iterations == 5
    assert record.metrics == without_gaps(other.metrics)
    for name in ("config", "result", "samples", "rollouts", "looks", "about", "start"):
        assert getattr(record, name) == getattr(other, name), name


def test_the_version_grows_when_a_file_changes_and_only_then(make_run, add_iteration):
    folder = make_run(parts=())
    run = watch(folder)
    version = run.version
    run.refresh()
    assert run.version == version
    for change in (
        lambda: add_iteration(folder, 5),
        lambda: (folder / "about.json").write_text("{}"),
        lambda: (folder / "metrics.jsonl").write_text('{"iteration": 1}\n'),
    ):
        change()
        run.refresh()
        assert run.version == version + 1
        version = run.version
    assert run.iterations == 1


def test_the_state_of_a_run_is_told_by_its_files(make_run, add_iteration):
    assert watch(make_run("done")).state == "finished"
    extended = make_run("extended")
    add_iteration(extended, 5)
    assert watch(extended).state == "training"
    silent = make_run("silent", parts=UNFINISHED)
    assert watch(silent).state == "training"
    silence(silent, 301)
    assert watch(silent).state == "stopped"
    for error, state in ((None, "stopped"), ("ValueError: no", "failed")):
        folder = make_run(state, parts=UNFINISHED)
        (folder / "about.json").write_text(json.dumps({"ending": {"error": error}}))
        run = watch(folder)
        assert (run.state, run.error) == (state, error or "")


def test_a_slow_run_may_be_silent_for_longer(make_run):
    folder = make_run(parts=UNFINISHED)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"iteration": 5, "time/iteration_s": 100.0}) + "\n")
    silence(folder, 499)
    assert watch(folder).state == "training"
    silence(folder, 501)
    assert watch(folder).state == "stopped"


def test_columns_give_the_rows_back():
    columns = MetricColumns()
    rows = [{"iteration": 1, "a": 0.5}, {"iteration": 2, "b": 3}, {"iteration": 3, "a": -1.0}]
    for row in rows:
        columns.add({**row, "text": "no", "flag": True, "gap": None, "big": 10**400})
    assert columns.rows() == rows
    assert all(isinstance(row["iteration"], int) for row in columns.rows())
    assert (columns.last("a"), columns.last("b"), columns.last("c")) == (-1.0, 3.0, None)


def test_a_file_of_ever_new_keys_does_not_fill_the_memory():
    columns = MetricColumns()
    for i in range(600):
        columns.add({"iteration": i, f"key {i}": 1.0})
    assert len(columns.keys) == 512


def test_runs_are_found_in_folders_and_named_by_the_way_to_them(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr(watched_runs, "_REFRESH_EVERY_S", 0.0)
    monkeypatch.setattr(watched_runs, "_FIND_EVERY_S", 0.0)
    (tmp_path / "bench" / "seeds").mkdir(parents=True)
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "config.yaml").write_text("ids: [TextQA-v0]\n")
    first, second = make_run("one"), make_run("bench/seeds/one")
    runs = WatchedRuns([tmp_path])
    runs.refresh()
    assert {run.name for run in runs} == {"one", "bench/seeds/one"}
    named = WatchedRuns([first, second])
    named.refresh()
    assert {run.name for run in named} == {f"{tmp_path.name}/one", "seeds/one"}
    ids = {run.folder: run.id for run in runs}
    assert {run.folder: run.id for run in named} == ids
    new = make_run("new")
    runs.refresh()
    assert new in {run.folder for run in runs}
    assert runs.find(ids[first]).folder == first
    assert runs.find("one") is None


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"There is no folder '.*runs'\. Name folders of runs"):
        WatchedRuns([tmp_path / "runs"])
