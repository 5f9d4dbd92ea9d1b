"""Sends requests to a chat endpoint: some at a time, again where that helps, up to a budget."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, TypeVar

from textenv.chat import ChatAgent, ChatError, ChatReply, Messages, compute_pause
from textenv.daemon_pool import DaemonPool

# Refusals of one question, not of all: too long, or filtered for what it says.
_REFUSES_THIS_ONE = (400, 413, 422)

OnTrouble = Literal["mark", "raise"]
T = TypeVar("T")


class StoppedError(Exception):
    """Another question has failed; this one is not asked any more."""


class BudgetSpentError(Exception):
    """No request is left."""


@dataclass
class CallBudget:
    """Counts requests, up to the most that may be sent; many threads may share one."""

    max_calls: int | None  # most requests, retries included; None for any number
    n_calls: int = 0  # requests so far
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self) -> None:
        """Counts a request, or raises a BudgetSpentError."""
        with self._lock:
            if self.max_calls is not None and self.n_calls >= self.max_calls:
                raise BudgetSpentError
            self.n_calls += 1


@dataclass
class Requester:
    """Sends each request until it is answered, or there is no point in trying again."""

    agent: ChatAgent  # without retries of its own: here each is counted, and stops with the others
    max_retries: int  # of one request
    backoff_s: float  # first pause before a retry; it doubles
    budget: CallBudget
    _was_there: bool = False

    def send(
        self, key: str, messages: Messages, sent: Counter[str], stop: threading.Event
    ) -> ChatReply:
        """Returns the answer to a conversation.

        Args:
            key: Key of the question, in hexadecimal digits.
            messages: The conversation.
            sent: Counts the requests of each key.
            stop: Set when another question has failed.

        Raises:
            ChatError: The last try failed.
            StoppedError: `stop` was set before it was sent again.
            BudgetSpentError: No request is left.
        """
        for n_retries in range(self.max_retries + 1):
            if stop.is_set():
                raise StoppedError
            self.budget.spend()
            sent[key] += 1
            try:
                reply = self.agent.complete(messages)
            except ChatError as error:
                self._was_there |= error.kind != "connection"
                # Who was never there is not there: a wrong base_url shows at once.
                if (
                    n_retries == self.max_retries
                    or not error.is_worth_waiting
                    or not self._was_there
                ):
                    raise
                # Spread by the key, so that what was refused together does not come back together.
                spread, asked_s = int(key[:4], 16) / 0x10000, error.retry_after_s
                stop.wait(compute_pause(n_retries, self.backoff_s, asked_s, spread))
            else:
                self._was_there = True
                return reply
        raise AssertionError("the last try returns or raises")


def refuses_this_one(error: ChatError) -> bool:
    """Tells whether an endpoint refuses a question for what it is, and may well answer others."""
    return error.status in _REFUSES_THIS_ONE


def can_go_on(error: ChatError, on_failure: OnTrouble) -> bool:
    """Tells whether others are asked after a request has failed for good.

    A server that is away, or refuses whatever it is asked, would fail the next one, too.
    """
    return on_failure == "mark" and error.passes and error.kind != "connection"


def count_tries(error: ChatError, n_sent: int) -> str:
    """Says why a request has failed for good, and how often it was tried."""
    return f"{error} ({n_sent} {'try' if n_sent == 1 else 'tries'})"


class RequestPool:
    """Calls what sends requests, in threads of its own, for as long as its block lasts.

    At the end of the block what is not under way is dropped, and `stop` is set. What is under way
    comes to its end, since it was paid for; it is not waited for after Ctrl-C.

    Args:
        n_threads: How many requests at a time.
        name: What the threads are called.

    Attributes:
        stop: Set when the block ends.
    """

    def __init__(self, n_threads: int, name: str) -> None:
        self.stop = threading.Event()
        self._pool = DaemonPool(n_threads, name)
        self._futures: list[Future[object]] = []

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Has a function called."""
        future = self._pool.submit(call)
        self._futures.append(future)  # type: ignore[arg-type] # it is only waited for
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop.set()
        for future in self._futures:
            future.cancel()
        self._pool.close()
        if kind is None or issubclass(kind, Exception):
            wait(self._futures)
