"""Files that are whole or absent, checksums that find damage, locks that end with their process."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from textenv.errors import DamagedError, FolderInUseError, StorageError
from textenv.storage.checksums import (
    Checksums,
    list_files,
    read_checksums,
    write_checked,
)
from textenv.storage.faults import describe_fault, storage_faults
from textenv.storage.folder_lock import LOCK_FILE, check_held, locked
from textenv.storage.whole_files import remove_entry, write_whole

_ROOT = Path(__file__).parents[2]
_HOLDING = """
import sys, time
from pathlib import Path
from textenv.storage.folder_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""

_FORKING = """
    import os, signal
    if not os.fork():
        time.sleep(100)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, which holds the lock of a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDING, str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_has_one_holder_who_is_named_and_whose_lock_ends_with_it(holder, tmp_path):
    with (
        pytest.raises(FolderInUseError, match=rf"Another run .*process {holder.pid} on '"),
        locked(tmp_path),
    ):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with (
        locked(tmp_path),
        pytest.raises(FolderInUseError, match="this process"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        assert (tmp_path / LOCK_FILE).exists()
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_child_does_not_keep_the_lock_of_a_process_that_has_died(tmp_path):
    code = _HOLDING.partition("    print")[0] + _FORKING
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], start_new_session=True,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    assert process.wait(60) == -signal.SIGKILL
    try:
        with locked(tmp_path):
            pass
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_locked_folder_that_is_gone_or_replaced_is_said_before_a_write(tmp_path, replaced):
    folder = tmp_path / "run"
    with locked(folder):
        write_whole(folder / "a", "before")
        check_held(folder / "deeper")
        shutil.rmtree(folder)
        if replaced:
            folder.mkdir()
            (folder / LOCK_FILE).touch()
        with pytest.raises(StorageError, match=r"run' was deleted, moved or replaced"):
            write_whole(folder / "a", "after")
    # What is there now belongs to another.
    assert (folder / LOCK_FILE).exists() == replaced


def test_damage_of_any_kind_is_named_with_the_file(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a", "deep/b", "empty"):
        (tmp_path / name).write_bytes(b"" if name == "empty" else bytes(range(200)))
    list_files(tmp_path, tmp_path / "list").save()
    known = read_checksums(tmp_path / "list")
    assert known is not None
    assert set(known.files) == {"a", "deep/b", "empty"}
    assert known.find_damage() == []
    path = tmp_path / "deep/b"
    for content, told in (
        (bytes(range(199)), "is cut: it has 199 of 200 bytes"),
        (b"", "is empty; it had 200 bytes"),
        (bytes([1, *range(1, 200)]), "its checksum differs"),
        (bytes(range(200)) + b"0", "its checksum differs"),
    ):
        path.write_bytes(content)
        (found,) = known.find_damage()
        assert found.startswith(f"'{path}' ")
        assert told in found
    path.unlink()
    assert known.find_damage() == [f"'{path}' is missing"]


def test_every_flipped_bit_of_the_list_itself_is_found(tmp_path):
    path = tmp_path / "list"
    write_checked(tmp_path / "a", "text", path)
    content = path.read_bytes()
    for place in range(0, 8 * len(content), 3):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(DamagedError, match=re.escape(str(path))):
            read_checksums(path)
    path.write_bytes(b"")
    with pytest.raises(DamagedError, match="it is empty"):
        read_checksums(path)


def test_a_list_of_a_newer_version_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("textenv.storage.checksums.FORMAT", 2)
    Checksums(tmp_path / "list").save()
    monkeypatch.undo()
    with pytest.raises(DamagedError, match=r"newer textenv .format 2; this one reads 1.*Upgrade"):
        read_checksums(tmp_path / "list")


def test_a_file_that_is_being_replaced_is_whole_before_and_after(tmp_path, monkeypatch):
    path, listed = tmp_path / "a", tmp_path / "list"
    write_checked(path, "old", listed)

    with monkeypatch.context() as patch:
        calls = []

        def second_dies(path: Path, text: str) -> None:
            calls.append(path)
            if len(calls) == 2:
                raise KeyboardInterrupt
            write_whole(path, text)

        patch.setattr("textenv.storage.checksums.write_whole", second_dies)
        with pytest.raises(KeyboardInterrupt):
            write_checked(path, "new", listed)
    known = read_checksums(listed)
    assert known is not None
    assert path.read_text() == "old"
    assert known.find_damage() == []
    write_checked(path, "newer", listed)
    known = read_checksums(listed)
    assert known is not None
    assert known.find_damage() == []
    path.write_text("new")
    assert known.find_damage() != []


def test_a_write_that_fails_leaves_the_file_before_and_nothing_else(tmp_path, monkeypatch):
    write_whole(tmp_path / "a", "old")

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(StorageError, match=r"a' cannot be written .*free some space"),
        storage_faults(tmp_path / "a"),
    ):
        write_whole(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
def test_an_error_of_the_system_says_what_to_do(number):
    told = describe_fault(OSError(number, os.strerror(number), "/x/y"))
    assert told is not None
    assert told.startswith("'/x/y' cannot be written or read: ")
    assert len(told.split(". ")) == 2
    # As Rust's libraries tell it.
    rust = Exception(f"I/O error: {os.strerror(number)} (os error {number})")
    assert describe_fault(rust, Path("/x/y")) == told
    assert describe_fault(ValueError("no")) is None


def test_of_a_link_the_link_alone_is_removed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a").touch()
    (tmp_path / "link").symlink_to("folder")
    remove_entry(tmp_path / "link")
    assert (tmp_path / "folder/a").exists()
    assert not (tmp_path / "link").is_symlink()
    remove_entry(tmp_path / "nothing")
    remove_entry(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
