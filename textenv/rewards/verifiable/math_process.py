"""Asks math-verify in another process: safe in threads, and bounded in time and memory.

math-verify's own time limits are signals, which only a main thread can set, and which cannot stop
a power such as 9^9^9^9. One process serves all rewards of this one; one that takes too long is
killed, and the next question starts another.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

from textenv.errors import ConfigError, RewardError

_START_S = 120.0  # to import sympy on a busy machine
# The worker measures its own processor time, where it can; a clock that waits for it measures what
# a busy machine does beside it as well.
_PATIENCE = 10.0 if hasattr(signal, "setitimer") else 1.0


class TookTooLongError(Exception):
    """There was no answer within the time limit."""


def check_installed(asker: str) -> None:
    """Raises a ConfigError if math-verify is missing."""
    if find_spec("math_verify") is None:
        raise ConfigError(f"{asker} needs one more package: pip install textenv[math]")


def ask(reference: str, answer: str | None, timeout_s: float) -> bool | None:
    """Tells whether an answer says what a reference says, by math-verify.

    Args:
        reference: LaTeX of an expression.
        answer: LaTeX that is compared; None to ask whether the reference can be read at all.
        timeout_s: Seconds of the processor that this may take.

    Returns:
        None if the reference cannot be read. An answer that cannot be read is not the same.

    Raises:
        TookTooLongError: It took longer, or more memory than a process is given.
        RewardError: The process cannot be started.
    """
    with _state.lock:
        if _state.process is not None and _state.process.poll() is not None:
            _stop()  # someone ended it
        if _state.process is None:
            _state.process = _start()
        most = _PATIENCE * timeout_s
        try:
            line = _exchange(
                _state.process, json.dumps([reference, answer, timeout_s, most]), most + 1.0
            )
        except BaseException:  # a reply that nobody waits for would answer the next question
            _stop()
            raise
        if line is None:
            _stop()
            raise TookTooLongError
    reply: bool | None = json.loads(line)
    return reply


class _State:
    """The process of this interpreter; after a fork the child has none yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None


_state = _State()


def _start() -> subprocess.Popen[str]:
    worker = Path(__file__).with_name("math_worker.py")
    process = subprocess.Popen(
        # -P: the worker's folder must not stand in for the standard library's modules.
        [sys.executable, "-P", str(worker)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C is for the one who asks
    )
    if _exchange(process, None, _START_S) != "ready\n":
        _end(process)
        raise RewardError(
            "Reward 'math' could not start math-verify. Try it: python -c 'import math_verify'"
        )
    return process


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


def _stop() -> None:
    process, _state.process = _state.process, None
    if process is not None:
        _end(process)


def _forget() -> None:
    """Leaves the process to the parent of this fork."""
    process, _state.process, _state.lock = _state.process, None, threading.Lock()
    if process is not None:
        process.returncode = 0  # it is no child of this one, and nothing is to be waited for
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
