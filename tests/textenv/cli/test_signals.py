"""Signals that end a command: what nothing else handles ends as Ctrl-C does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from agents.training.interrupts import stop_requests
from textenv.cli.signals import stop_on_signals

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
NUMBERS = [signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)]


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    # The tests may run under nohup, which ignores SIGHUP.
    before = [(number, signal.signal(number, signal.SIG_DFL)) for number in NUMBERS]
    yield
    for number, handler in before:
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_one_interrupts_a_command_and_stops_a_training_after_its_iteration(number):
    stop_on_signals()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    with stop_requests() as request:
        signal.raise_signal(number)
        assert request.is_made
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_what_others_have_set_stays(monkeypatch):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    stop_on_signals()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    monkeypatch.setenv("RANK", "0")
    stop_on_signals()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_command_says_that_it_stopped_and_exits_with_130():
    played = subprocess.Popen(
        [sys.executable, "-m", "textenv", "play", "TextQA-v0", "--index", "0"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert played.stdout is not None
    while played.stdout.read(1) != b">":  # of "you> "
        assert played.poll() is None
    played.send_signal(signal.SIGTERM)
    _, said = played.communicate(timeout=30)
    assert (said, played.returncode) == (b"Stopped.\n", 130)
