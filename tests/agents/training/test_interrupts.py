"""Signals that ask a training to stop."""

from __future__ import annotations

import signal
import threading
from types import SimpleNamespace

import pytest

import agents.training.interrupts
from agents.training.interrupts import stop_requests


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """The time that signals come at."""
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(
        agents.training.interrupts, "time", SimpleNamespace(monotonic=lambda: clock.now_s)
    )
    return clock


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(number, clock, capfd):
    before = handlers()
    with stop_requests() as request:
        assert not set(handlers()) & set(before)
        assert not request.is_made
        signal.raise_signal(number)
        assert request.is_made
        clock.now_s += 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert handlers() == before
    message = "Stopping after this iteration; press Ctrl-C again to stop now.\n"
    assert capfd.readouterr().err == message


def test_what_a_launcher_passes_on_is_no_second_signal(clock):
    with stop_requests() as request:
        signal.raise_signal(signal.SIGINT)
        clock.now_s += 0.5
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            pytest.fail("It was taken for a second one.")
        assert request.is_made


def test_only_the_first_process_says_it(monkeypatch, capfd):
    monkeypatch.setenv("RANK", "1")
    with stop_requests() as request:
        signal.raise_signal(signal.SIGINT)
    assert request.is_made
    assert capfd.readouterr().err == ""


def test_handlers_are_as_before_after_an_error():
    before = handlers()
    with pytest.raises(ZeroDivisionError), stop_requests():
        raise ZeroDivisionError
    assert handlers() == before


def test_a_handler_of_the_program_is_left_alone(monkeypatch):
    taken: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: taken.append(number))
    try:
        with stop_requests() as request:
            signal.raise_signal(signal.SIGINT)
        assert (taken, request.is_made) == ([signal.SIGINT], False)
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_signals_are_left_alone():
    found: list[object] = []

    def work() -> None:
        with stop_requests() as request:
            found.extend([request.is_made, handlers()])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False, handlers()]
