"""Stops a training when a signal asks for it: the first after what is in play, the second at once.

Handlers are set in the main thread only, which is where Python runs them, and only in place of
Python's own: a program that has others for SIGINT or SIGTERM keeps those.
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

_PYTHONS_OWN: Mapping[signal.Signals, Callable[[int, FrameType | None], Any] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}
_MESSAGE = "Stopping after this iteration; press Ctrl-C again to stop now."
# Launchers pass on what a terminal or a cluster sends to their processes anyway.
_SAME_REQUEST_S = 1.0


class StopRequest:
    """Whether a signal has asked to stop."""

    def __init__(self) -> None:
        self._asked_at_s: float | None = None

    @property
    def is_made(self) -> bool:
        """True from the first signal on."""
        return self._asked_at_s is not None

    def handle(self, signal_number: int, frame: FrameType | None) -> None:
        """Takes a signal.

        Raises:
            KeyboardInterrupt: It is not the first, nor another copy of the first.
        """
        now_s = time.monotonic()
        if self._asked_at_s is None:
            self._asked_at_s = now_s
            if is_first_rank():
                _say(_MESSAGE)
        elif now_s - self._asked_at_s >= _SAME_REQUEST_S:
            raise KeyboardInterrupt


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Turns SIGINT (Ctrl-C) and SIGTERM into a request to stop, which the caller looks at.

    A second signal, a second or more after the first, raises KeyboardInterrupt wherever the program
    is. Afterwards signals do what they did before.
    """
    request = StopRequest()
    in_main_thread = threading.current_thread() is threading.main_thread()
    taken = [
        number
        for number, own in _PYTHONS_OWN.items()
        if in_main_thread and signal.getsignal(number) == own
    ]
    try:
        for number in taken:
            signal.signal(number, request.handle)
        yield request
    finally:
        for number in taken:
            signal.signal(number, _PYTHONS_OWN[number])


def _say(message: str) -> None:
    # Python's streams, and the progress bar on them, may be locked by what the signal came into.
    start = "\n" if sys.__stderr__ is not None and sys.__stderr__.isatty() else ""
    with suppress(OSError):
        os.write(2, f"{start}{message}\n".encode())
