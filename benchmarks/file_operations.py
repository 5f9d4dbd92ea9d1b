"""Counts the file operations of a piece of work, and kills it or fails it at one of them.

What counts is what Python's audit events tell (open, rename, mkdir, remove, rmdir, listdir) and
os.fsync. The work is done in a forked process, since the events cannot be taken back.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textenv.errors import TextEnvError

_EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.listdir", "os.scandir")
_SECONDS = 1200.0  # for one child


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int  # its exit status; minus the signal that killed it
    said: str  # what it printed

    @property
    def is_traceback(self) -> bool:
        """Whether an error came out raw."""
        return "Traceback" in self.said


def in_child(work: Callable[[], object], kill_after_s: float | None = None) -> Ended:
    """Does work in a forked process, which may be killed after some time."""
    with tempfile.TemporaryFile() as said:
        state = random.getstate()
        pid = os.fork()
        if pid == 0:
            random.setstate(state)  # Python seeds it anew in a forked process
            _be_child(work, said.fileno())
        until = time.monotonic() + (_SECONDS if kill_after_s is None else kill_after_s)
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                status = os.waitpid(pid, 0)[1]
                break
            time.sleep(0.002)
        said.seek(0)
        text = said.read().decode(errors="replace")
    return Ended(os.waitstatus_to_exitcode(status), text)


def _be_child(work: Callable[[], object], output: int) -> None:
    code = 1
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        work()
        code = 0
    except TextEnvError as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        code = int(error.exit_code)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        os._exit(code)


class Operations:
    """Counts file operations in a folder, and does something at one of them.

    Args:
        folder: Folder.
        number: Which operation, from 0; -1 for none.
        act: What to do there; it may raise.
    """

    def __init__(self, folder: Path, number: int, act: Callable[[], None]) -> None:
        self.folder, self.number, self.act = str(folder), number, act
        self.names: list[str] = []
        self.is_on = False

    def see(self, name: str, path: object) -> None:
        """Counts an operation."""
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not self.is_on or (os.path.isabs(text) and not text.startswith(self.folder)):
            return
        self.names.append(f"{name} {os.path.basename(text)}")
        if len(self.names) - 1 == self.number:
            self.is_on = False
            self.act()

    def install(self) -> None:
        """Sees all operations of this process from here on."""
        sys.addaudithook(
            lambda event, given: self.see(event, given[0]) if event in _EVENTS else None
        )
        fsync = os.fsync

        def seen_fsync(number: Any) -> None:
            self.see("fsync", self.folder)
            fsync(number)

        os.fsync = seen_fsync  # type: ignore[assignment] # seen, then called


def fault(number: int) -> Callable[[], None]:
    """Returns what raises an error of the system."""

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


def die() -> None:
    """Kills this process."""
    os.kill(os.getpid(), signal.SIGKILL)
