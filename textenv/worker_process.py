"""A process of its own for work that may take for ever: it is killed, and the next one is started.

What it runs is a script that writes "ready", then a line for each line that it reads. One process
serves all of this interpreter, and ends with it; after a fork the child starts its own.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path


class WorkerProcess:
    """Asks a script, and waits no longer than it is told.

    Args:
        script: The script. It runs with this interpreter, and is killed at any time.
        start_s: Most seconds that it may take to get ready.
    """

    def __init__(self, script: Path, start_s: float) -> None:
        self._script, self._start_s = script, start_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        atexit.register(self._stop)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def ask(self, line: str, timeout_s: float) -> str | None:
        """Sends a line and returns the reply; None if it took longer, or the process ended.

        Raises:
            OSError: The process cannot be started.
        """
        with self._lock:
            if self._process is not None and self._process.poll() is not None:
                self._stop()  # someone ended it
            if self._process is None:
                self._process = self._start()
            try:
                reply = _exchange(self._process, line, timeout_s)
            except BaseException:  # a reply that nobody waits for would answer the next question
                self._stop()
                raise
            if reply is None:
                self._stop()
            return reply

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            # -P: the script's folder must not stand in for the standard library's modules.
            [sys.executable, "-P", str(self._script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the one who asks
        )
        if _exchange(process, None, self._start_s) != "ready\n":
            _end(process)
            raise OSError(f"'{sys.executable} {self._script}' does not start")
        return process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _forget(self) -> None:
        """Leaves the process to the parent of this fork."""
        process, self._process, self._lock = self._process, None, threading.Lock()
        if process is not None:
            process.returncode = 0  # it is no child of this one, and nothing is to be waited for
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


def _exchange(process: subprocess.Popen[str], line: str | None, timeout_s: float) -> str | None:
    """Sends a line and returns the reply; None if the process ended, or was killed for its time."""
    assert process.stdin is not None
    assert process.stdout is not None
    clock = threading.Timer(timeout_s, process.kill)
    clock.daemon = True
    clock.start()
    try:
        if line is not None:
            process.stdin.write(line + "\n")
            process.stdin.flush()
        return process.stdout.readline() or None
    except OSError:
        return None
    finally:
        clock.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    with contextlib.suppress(OSError):
        process.communicate()
