"""Stops a training on signals: on the first after the current iteration, on the second at once.

Handlers are set in the main thread only, where Python runs them, and only in place of Python's own
and of those of the command line.
A program that has other handlers for SIGINT, SIGTERM or SIGHUP keeps them; nohup does, too.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from agents.ppo.distributed import is_first_rank
from textenv.cli.signals import leave_terminal, stop

_PYTHONS_OWN: Mapping[signal.Signals, Callable[[int, FrameType | None], Any] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
if hasattr(signal, "SIGHUP"):  # Windows has none
    _PYTHONS_OWN = {**_PYTHONS_OWN, signal.SIGHUP: signal.SIG_DFL}
_MESSAGE = "Stopping after this iteration; press Ctrl-C again to stop now."
# Launchers pass on signals that a terminal or a cluster also sends to every process.
_SAME_REQUEST_S = 1.0


class StopRequest:
    """Records whether a signal has asked to stop."""

    def __init__(self) -> None:
        self._asked_at_s: float | None = None

    @property
    def is_made(self) -> bool:
        """Whether a signal has come."""
        return self._asked_at_s is not None

    def handle(self, signal_number: int, frame: FrameType | None) -> None:
        """Handles a signal.

        Raises:
            KeyboardInterrupt: The signal is neither the first nor a copy of the first.
        """
        if signal_number == getattr(signal, "SIGHUP", None):
            leave_terminal()
        now_s = time.monotonic()
        if self._asked_at_s is None:
            self._asked_at_s = now_s
            if is_first_rank():
                _say(_MESSAGE)
        elif now_s - self._asked_at_s >= _SAME_REQUEST_S:
            raise KeyboardInterrupt


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turns SIGINT (Ctrl-C), SIGTERM and SIGHUP into a request to stop, which the caller checks.

    A second signal, at least a second after the first, raises KeyboardInterrupt wherever the
    program is. On exit the old handlers are restored.
    """
    request = StopRequest()
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _PYTHONS_OWN if in_main_thread}
    taken = {
        number: handler
        for number, handler in before.items()
        if handler in (_PYTHONS_OWN[number], stop)
    }
    try:
        for number in taken:
            signal.signal(number, request.handle)
        yield request
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def _say(message: str) -> None:
    # The code that the signal interrupted may hold the locks of Python's streams.
    start = "\n" if sys.__stderr__ is not None and sys.__stderr__.isatty() else ""
    with suppress(OSError):
        os.write(2, f"{start}{message}\n".encode())
