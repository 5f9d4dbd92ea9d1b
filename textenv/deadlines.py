"""Bounds the time of calls that may hang, such as a user's reward, and says so while it waits.

    scores = call_within(lambda: reward(episodes), "reward 'mine'", limit_s=60.0)

A call is interrupted where Python can interrupt it: in the main thread of a POSIX system, whether
it computes, sleeps or waits for a socket or a lock. It is only spoken about elsewhere: in another
thread, on Windows, and as long as it is inside of a library's C code that does not come back.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TypeVar

from textenv.errors import ConfigError, DeadlineError

REWARD_VARIABLE = "TEXTENV_REWARD_TIMEOUT_S"
ROLLOUT_VARIABLE = "TEXTENV_ROLLOUT_TIMEOUT_S"
DEFAULT_REWARD_S = 3600.0
SAY_EVERY_S = 60.0

_POLL_S = 0.5
_AGAIN_S = 5.0  # between two interruptions of a call that went on in spite of one
# Ignored by default, so that one that comes late does nothing, and hardly ever used otherwise:
# rewards have alarms of their own.
_SIGNAL = getattr(signal, "SIGURG", None)

T = TypeVar("T")

_log = logging.getLogger(__name__)
_reward_s: float | None = None


@contextmanager
def limit_rewards(seconds: float) -> Iterator[None]:
    """Sets the most seconds of one call of a reward in this process, unless its variable does."""
    global _reward_s
    before, _reward_s = _reward_s, seconds
    try:
        yield
    finally:
        _reward_s = before


def reward_limit_s() -> float:
    """Returns the most seconds of one call of a reward.

    That is what the environment variable TEXTENV_REWARD_TIMEOUT_S says, else what `limit_rewards`
    set, else an hour.
    """
    return limit_from(REWARD_VARIABLE, _reward_s or DEFAULT_REWARD_S)


def limit_from(variable: str, otherwise: float) -> float:
    """Returns a time limit: what an environment variable says, by which a run resumes with more.

    Raises:
        ConfigError: The variable does not hold a number above 0.
    """
    given = os.environ.get(variable)
    if not given:
        return otherwise
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"{variable} is a number of seconds above 0, not '{given}'.")
    return seconds


@dataclass(eq=False)
class _Watch:
    """A call that is under way."""

    kind: str
    labels: list[str]  # what it waits for, and within that what it waits for now
    limit_s: float
    say_every_s: float
    can_be_interrupted: bool
    began_at: float = field(default_factory=time.monotonic)
    began_on: str = field(default_factory=lambda: time.strftime("%H:%M:%S"))
    is_running: bool = True
    n_said: int = 0
    is_told_over: bool = False
    n_interrupts: int = 0

    @property
    def next_interrupt_s(self) -> float:
        """Seconds from its start to its next interruption; what cleans up after one has time to."""
        return self.limit_s + self.n_interrupts * _AGAIN_S

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self.began_at >= self.limit_s


class _OverError(BaseException):
    """A call is over its time; a BaseException, which no reward catches by accident."""

    def __init__(self, watch: _Watch) -> None:
        self.watch = watch
        self.what = watch.labels[-1]


# What ends a call from outside: whoever catches all errors of the call lets these pass.
INTERRUPTIONS = (KeyboardInterrupt, _OverError)


class _Stack(threading.local):
    """The calls that are under way in a thread, from the outermost to the innermost."""

    def __init__(self) -> None:
        self.watches: list[_Watch] = []


_stack = _Stack()
_all: list[_Watch] = []
_changed = threading.Condition()
_watchdog: threading.Thread | None = None


def call_within(
    call: Callable[[], T],
    what: str,
    limit_s: float,
    *,
    kind: str = "reward",
    say_every_s: float = SAY_EVERY_S,
) -> T:
    """Calls a function, and gives up when it takes too long.

    Within a call of the same kind, such as that of a reward which is made of others, its time
    counts and no other one.

    Args:
        call: Function without arguments.
        what: What messages call it.
        limit_s: The most seconds that it may take.
        kind: Kind of call.
        say_every_s: Seconds between two messages that it is still waited for.

    Raises:
        DeadlineError: It took longer, and could be interrupted.
    """
    stack = _stack.watches
    outer = next((watch for watch in reversed(stack) if watch.kind == kind), None)
    if outer is not None:
        outer.labels.append(what)
        try:
            return call()
        finally:
            outer.labels.pop()
    watch = _Watch(kind, [what], limit_s, say_every_s, _can_interrupt())
    before = _listen() if watch.can_be_interrupted and not stack else None
    try:
        _begin(watch)
        try:
            return call()
        finally:
            watch.is_running = False
    except _OverError as error:
        if error.watch is not watch:
            raise
        raise DeadlineError(describe_over(error.what, limit_s)) from None
    finally:
        _end(watch)
        if before is not None:
            signal.signal(before[0], before[1])


def describe_over(what: str, limit_s: float) -> str:
    """Says that something took too long."""
    return f"{what[:1].upper()}{what[1:]} did not come to an end within {limit_s:g} s."


def _can_interrupt() -> bool:
    return (
        _SIGNAL is not None
        and hasattr(signal, "pthread_kill")
        and threading.current_thread() is threading.main_thread()
        # None where something other than Python handles it.
        and signal.getsignal(_SIGNAL) is not None
    )


def _listen() -> tuple[signal.Signals, Callable[[int, FrameType | None], object] | int]:
    """Has the main thread listen to the watchdog; returns what it did before."""
    assert _SIGNAL is not None
    before = signal.getsignal(_SIGNAL)
    assert before is not None

    def handle(number: int, frame: FrameType | None) -> None:
        for watch in _stack.watches:
            if watch.is_running and watch.is_over:
                raise _OverError(watch)
        if callable(before):
            before(number, frame)

    signal.signal(_SIGNAL, handle)
    return _SIGNAL, before


def _begin(watch: _Watch) -> None:
    global _watchdog
    _stack.watches.append(watch)
    with _changed:
        _all.append(watch)
        if _watchdog is None or not _watchdog.is_alive():
            _watchdog = threading.Thread(target=_look, name="textenv-deadlines", daemon=True)
            _watchdog.start()
        if min(watch.limit_s, watch.say_every_s) < 2 * _POLL_S:
            _changed.notify()


def _end(watch: _Watch) -> None:
    """Ends a call, and those within it whose own end was interrupted."""
    watch.is_running = False
    stack = _stack.watches
    if watch not in stack:
        return
    ended = stack[stack.index(watch) :]
    del stack[stack.index(watch) :]
    with _changed:
        for one in ended:
            one.is_running = False
            if one in _all:
                _all.remove(one)


def _look() -> None:
    """Looks after all calls, for ever, in a thread of its own."""
    while True:
        with _changed:
            now = time.monotonic()
            due = [
                watch.began_at
                + min(watch.next_interrupt_s, (watch.n_said + 1) * watch.say_every_s)
                - now
                for watch in _all
            ]
            _changed.wait(min([_POLL_S, *(seconds for seconds in due if seconds > 0)]))
            watches = list(_all)
        for watch in watches:
            if watch.is_running:
                _look_at(watch)


def _look_at(watch: _Watch) -> None:
    passed_s = time.monotonic() - watch.began_at
    if passed_s >= watch.limit_s:
        if watch.can_be_interrupted and passed_s >= watch.next_interrupt_s:
            assert _SIGNAL is not None
            watch.n_interrupts += 1
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
        if not watch.is_told_over and passed_s >= watch.limit_s + 2 * _AGAIN_S:
            watch.is_told_over = True
            over = describe_over(watch.labels[-1], watch.limit_s)
            _log.warning(
                f"{over} Python cannot interrupt it where it is: end the process to give it up."
            )
    elif passed_s >= (watch.n_said + 1) * watch.say_every_s:
        watch.n_said = int(passed_s // watch.say_every_s)
        _log.warning(
            f"Still waiting for {watch.labels[-1]}: {passed_s:.0f} s (since {watch.began_on}); "
            f"it may take {watch.limit_s:g} s."
        )


def _forget() -> None:
    """In a forked process there is no watchdog, and the calls are its parent's."""
    global _changed, _watchdog
    _changed, _watchdog = threading.Condition(), None
    _all.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
