"""Has SIGTERM and SIGHUP end a command as Ctrl-C does: with a word, cleaned up, and status 130.

By default they end a process at once and without a word, and leave what it was about to remove.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import NoReturn


def stop(number: int, frame: FrameType | None) -> NoReturn:
    """Handles a signal that asks to end.

    Raises:
        KeyboardInterrupt: Always.
    """
    if number == getattr(signal, "SIGHUP", None):
        leave_terminal()
    raise KeyboardInterrupt


def stop_on_signals() -> None:
    """Sets the handlers, in place of the system's own alone: nohup keeps what it set.

    One of several processes of a job is ended by its launcher, which knows how.
    """
    if "RANK" in os.environ:
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, stop)


def leave_terminal() -> None:
    """Has output to a terminal go nowhere: it is gone, and writing to it would fail."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        with suppress(OSError):
            if os.isatty(number):
                os.dup2(nowhere, number)
    os.close(nowhere)
