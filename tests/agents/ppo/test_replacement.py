"""A process that dies, or whose disk fails, anywhere in a save leaves the old agent or the new."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agents.ppo.atomic_replacement import CHECKPOINTS, MANIFEST, replacing_entries, settle
from agents.ppo.kept_checkpoints import (
    FORMAT,
    check_whole,
    find_checkpoint,
    go_back,
    kept_iterations,
    saved_iteration,
)
from benchmarks.file_operations import Operations, die, fault, in_child
from textenv.errors import ConfigError, DamagedError, ModelError, StorageError

_ROOT = Path(__file__).parents[3]


def save(folder: Path, iteration: int, *, keep: bool = True, adapter: bool = False) -> None:
    """Saves what stands for an agent: every file holds the iteration."""
    with replacing_entries(folder, keep=keep, iteration=iteration) as new:
        names = ["agent.json", "agent.safetensors", "model/config.json", "model/README.md"]
        for name in [*names, *(["adapter/a"] if adapter else [])]:
            (new / name).parent.mkdir(exist_ok=True)
            data = {"format": FORMAT, "state": {"n_iterations": iteration}, "name": name}
            (new / name).write_text(json.dumps(data))


def iterations(folder: Path) -> set[int]:
    """Returns the iterations that the files of an agent hold: one, if it is whole."""
    known = json.loads((folder / MANIFEST).read_text())["files"]
    return {json.loads((folder / name).read_text())["state"]["n_iterations"] for name in known}


def hit(folder: Path, number: int, act: Any) -> list[str]:
    seen = Operations(folder, number, act)
    seen.install()
    seen.is_on = True
    save(folder, 7)
    seen.is_on = False
    (folder.parent / "names").write_text(json.dumps(seen.names))
    return seen.names


def try_operations(base: Path, number: int) -> dict[str, Any]:
    """Fails or kills a save at each of its operations, and checks what is left each time."""
    act = die if number == signal.SIGKILL else fault(number)
    begin = base / "begin"
    save(begin, 3)
    save(begin, 5)
    assert in_child(partial(hit, begin, -1, act)).code == 0
    n = len(json.loads((base / "names").read_text()))
    ends, codes = set(), set()
    for i in range(n):
        folder = base / str(i)
        save(folder, 3)
        save(folder, 5)
        ended = in_child(partial(hit, folder, i, act))
        assert not ended.is_traceback, ended.said
        codes.add(ended.code)
        found = saved_iteration(folder)
        check_whole(folder)
        assert iterations(folder) == {found}, i
        ends.add(found)
        # What is kept is whole, too.
        kept = kept_iterations(folder)
        assert kept in ([3], [5, 3]), i
        for one in kept:
            check_whole(folder / CHECKPOINTS / str(one))
        save(folder, 9)
        check_whole(folder)
        assert {p.name for p in folder.iterdir()} == {
            "agent.json", "agent.safetensors", "model", MANIFEST, CHECKPOINTS
        }  # fmt: skip
    return {"n": n, "ends": sorted(ends), "codes": sorted(codes)}


@pytest.mark.parametrize("number", [signal.SIGKILL, errno.ENOSPC, errno.EIO])
def test_at_every_file_operation_of_a_save_the_agent_before_or_the_new_one_is_whole(
    tmp_path, number
):
    # In a process without threads, which can be forked.
    done = subprocess.run(
        [sys.executable, __file__, tmp_path, str(int(number))],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(_ROOT)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["n"] > 40
    assert found["ends"] == [5, 7]
    # What fails while an old checkpoint is removed, say, is tried again by the next save.
    assert found["codes"] == [-9] if number == signal.SIGKILL else set(found["codes"]) <= {0, 3}


def test_what_an_earlier_agent_had_and_the_next_has_not_goes_with_it(tmp_path):
    (tmp_path / "notes").write_text("mine")
    save(tmp_path, 1, adapter=True)
    save(tmp_path, 2)
    assert not (tmp_path / "adapter").exists()
    check_whole(tmp_path / CHECKPOINTS / "1")
    assert (tmp_path / CHECKPOINTS / "1/adapter/a").exists()
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_link_in_the_place_of_an_entry_is_replaced_and_what_it_leads_to_stays(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model", ".saving"):
        (run / name).symlink_to(elsewhere)
    save(run, 1)
    assert not (run / "model").is_symlink()
    assert (elsewhere / "mine").exists()


def test_an_earlier_agent_is_found_by_its_iteration_and_made_the_latest_when_asked(tmp_path):
    for iteration in (2, 4, 6):
        save(tmp_path, iteration)
    assert kept_iterations(tmp_path) == [4, 2]
    assert find_checkpoint(tmp_path) == find_checkpoint(tmp_path, 6) == tmp_path
    with pytest.raises(ConfigError, match=r"no checkpoint of iteration 3. It has those of 6, 4, 2"):
        find_checkpoint(tmp_path, 3)
    (tmp_path / "model/config.json").write_text("{}")
    with pytest.raises(
        DamagedError, match=r"model/config.json' is cut.*--resume \S+ --from 4 .kept: 4, 2"
    ):
        check_whole(tmp_path)
    go_back(tmp_path, 2)
    check_whole(tmp_path)
    assert (saved_iteration(tmp_path), kept_iterations(tmp_path)) == (2, [])
    assert iterations(tmp_path) == {2}


def test_a_format_is_told_from_damage(tmp_path):
    save(tmp_path, 1)
    path = tmp_path / "agent.json"
    text = path.read_text()
    path.write_text(text.replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}'))
    with pytest.raises(
        ModelError, match=rf"format {FORMAT + 1}.*newer textenv. Upgrade.*Or .*damaged"
    ):
        check_whole(tmp_path)
    (tmp_path / MANIFEST).unlink()
    path.write_text(text.replace(f'"format": {FORMAT}', f'"format": {FORMAT - 1}'))
    with pytest.raises(ModelError, match=rf"format {FORMAT - 1}.*older textenv"):
        check_whole(tmp_path)
    path.write_text(text)
    with pytest.raises(DamagedError, match=r"manifest.json' is missing"):
        saved_iteration(tmp_path)


def test_a_save_that_fails_says_what_is_kept_and_frees_the_disk(tmp_path):
    save(tmp_path, 1)

    def save_on_a_full_disk() -> None:
        with replacing_entries(tmp_path, iteration=2) as new:
            (new / "large").write_bytes(bytes(10_000))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(new / "large"))

    with pytest.raises(StorageError, match=r"No space left.*What was there before is kept"):
        save_on_a_full_disk()
    assert not (tmp_path / ".saving").exists()
    settle(tmp_path)
    assert saved_iteration(tmp_path) == 1


if __name__ == "__main__":
    sys.stdout.write(json.dumps(try_operations(Path(sys.argv[1]), int(sys.argv[2]))))
