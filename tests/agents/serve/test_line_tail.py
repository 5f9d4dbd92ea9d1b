"""A file that grows, shrinks or is replaced while it is read."""

from __future__ import annotations

import os

from agents.serve.line_tail import LineTail, parse_object


def lines(appended):
    return [line for _, line in appended.lines]


def test_each_look_brings_the_new_lines_alone(tmp_path):
    path = tmp_path / "file"
    tail = LineTail(path)
    assert lines(tail.look()) == []
    path.write_bytes(b"one\ntwo\n")
    assert tail.look().lines == ((0, b"one"), (4, b"two"))
    assert lines(tail.look()) == []
    with path.open("ab") as file:
        file.write(b"\nthree\n")
    assert tail.look().lines == ((9, b"three"),)


def test_what_was_read_is_not_read_again(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"first\n" + b"x" * 100 + b"\n")
    tail = LineTail(path)
    tail.look()
    with path.open("r+b") as file:
        file.write(b"FIRST")
        file.seek(0, os.SEEK_END)
        file.write(b"new\n")
    appended = tail.look()
    assert (lines(appended), appended.is_anew) == ([b"new"], False)


def test_a_line_without_its_end_is_left_for_later(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one\ntw")
    tail = LineTail(path)
    assert lines(tail.look()) == [b"one"]
    with path.open("ab") as file:
        file.write(b"o\n")
    assert tail.look().lines == ((4, b"two"),)


def test_a_file_that_shrank_is_read_from_its_start(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo\nthree\n")
    tail = LineTail(path)
    tail.look()
    path.write_bytes(b"one\n")
    appended = tail.look()
    assert (lines(appended), appended.is_anew) == ([b"one"], True)


def test_a_file_that_was_replaced_is_read_from_its_start(tmp_path):
    path, other = tmp_path / "file", tmp_path / "other"
    path.write_bytes(b"one\n")
    tail = LineTail(path)
    tail.look()
    other.write_bytes(b"one\ntwo\n")
    other.replace(path)
    appended = tail.look()
    assert (lines(appended), appended.is_anew) == ([b"one", b"two"], True)


def test_other_content_under_the_same_inode_is_noticed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo\n")
    tail = LineTail(path)
    tail.look()
    path.write_bytes(b"uno\ndue\ntre\n")  # longer than before
    appended = tail.look()
    assert (lines(appended), appended.is_anew) == ([b"uno", b"due", b"tre"], True)


def test_a_file_that_is_gone_has_no_lines_any_more(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one\n")
    tail = LineTail(path)
    tail.look()
    path.unlink()
    assert tail.look().is_anew
    assert not tail.look().is_anew
    path.write_bytes(b"one\n")
    assert lines(tail.look()) == [b"one"]


def test_only_objects_are_rows():
    assert parse_object(b'{"a": 1}') == {"a": 1}
    assert [parse_object(text) for text in (b"[1]", b"{", b"[" * 100_000, b"")] == [None] * 4
    assert parse_object(rb'{"a": "\ud800"}') == {"a": "\N{REPLACEMENT CHARACTER}"}
    assert parse_object(b'{"a": "\xff"}') == {"a": "\N{REPLACEMENT CHARACTER}"}
