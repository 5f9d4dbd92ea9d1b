"""Threads that work for as long as they are waited for, and never keep a process from ending.

`ThreadPoolExecutor` joins its threads when the process ends, so that one call that hangs, such as a
reward's, would hold the whole process up.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_Work = tuple[Future[Any], Callable[[], Any]]


class DaemonPool:
    """Calls functions in threads of its own.

    Args:
        n_threads: How many.
        name: What the threads are called.
    """

    def __init__(self, n_threads: int, name: str) -> None:
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._n_threads = n_threads
        for i in range(n_threads):
            threading.Thread(
                target=_serve, args=(self._work,), name=f"{name}_{i}", daemon=True
            ).start()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Has a function called."""
        future: Future[T] = Future()
        self._work.put((future, call))
        return future

    def close(self) -> None:
        """Ends the threads after what they are doing, and whatever was submitted before."""
        for _ in range(self._n_threads):
            self._work.put(None)


def _serve(work: queue.SimpleQueue[_Work | None]) -> None:
    while (given := work.get()) is not None:
        future, call = given
        if not future.set_running_or_notify_cancel():
            continue
        try:
            result = call()
        except BaseException as error:  # the one who waits is told, as by Python's own pools
            future.set_exception(error)
        else:
            future.set_result(result)
        del given, future, call  # a waiting thread keeps nothing alive
