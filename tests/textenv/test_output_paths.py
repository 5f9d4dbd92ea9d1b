"""What cannot be written is found before the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from textenv.errors import ConfigError
from textenv.output_paths import check_file, check_new_folder


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path) -> None:
    check_file(tmp_path / "new" / "deeper" / "a.json")
    check_new_folder(tmp_path / "run")
    (tmp_path / "old.json").write_text("{}", encoding="utf-8")
    check_file(tmp_path / "old.json")
    (tmp_path / "empty").mkdir()
    check_new_folder(tmp_path / "empty")
    assert sorted(os.listdir(tmp_path)) == ["empty", "old.json"]
    assert (tmp_path / "old.json").read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("check", [check_file, check_new_folder])
def test_a_place_within_a_file_is_refused(tmp_path, check) -> None:
    (tmp_path / "rows.csv").write_text("q,a\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"cannot be written: '.*rows\.csv' is no folder"):
        check(tmp_path / "rows.csv" / "x")


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="it is a folder"):
        check_file(tmp_path)


def test_a_folder_that_holds_something_is_refused(tmp_path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ConfigError, match="already exists and is not empty"):
        check_new_folder(tmp_path)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no folder without writing")
@pytest.mark.parametrize("check", [check_file, check_new_folder])
def test_a_folder_that_takes_no_files_is_refused(check) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        check(Path("/proc/x"))
