"""Whatever a judge's server does, there is a score, or our own error, within time and memory."""

from __future__ import annotations

import importlib.util
import re
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from textenv.chat import ChatAgent, ChatError
from textenv.errors import ConfigError, RewardError, TextEnvError
from textenv.examples import Episode, Example, Turn
from textenv.http_post import MAX_BYTES, check_url
from textenv.rewards.base import call_reward
from textenv.rewards.judge.judge import Judge

_spec = importlib.util.spec_from_file_location(
    "misbehaviour", Path(__file__).with_name("misbehaviour.py")
)
assert _spec is not None
assert _spec.loader is not None
misbehaviour = importlib.util.module_from_spec(_spec)
sys.modules["misbehaviour"] = misbehaviour  # dataclasses look it up
_spec.loader.exec_module(misbehaviour)

_HELLO = [{"role": "user", "content": "Hello?"}]
_EPISODE = Episode(
    Example("e", "Say it.", ("ref",)), (Turn("user", "Say it."), Turn("assistant", "a"))
)


@pytest.fixture
def serve():
    servers = []

    def start(speak: Any) -> Any:
        servers.append(misbehaviour.RawServer(speak))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def outcome(judge: Judge) -> tuple[float | None, str]:
    """Returns the score, or why there is none."""
    try:
        result = call_reward(judge, [_EPISODE])
    except TextEnvError as error:
        return None, str(error)
    assert result.valid is not None
    if result.valid[0]:
        return float(result.total[0]), ""
    return None, result.reasons[0]


def test_there_are_forty_and_more():
    assert len(misbehaviour.MISBEHAVIOURS) >= 100
    names = [one.name for one in misbehaviour.MISBEHAVIOURS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("one", misbehaviour.MISBEHAVIOURS, ids=lambda one: one.name)
@pytest.mark.timeout(60)
def test_each_misbehaviour_gives_a_score_or_our_own_error(serve, one):
    server = serve(one.speak)
    timeout_s = 0.15 if one.words == "in time" else 30.0
    judge = Judge(
        "m", base_url=server.url, cache=False, timeout_s=timeout_s, max_retries=1, backoff_s=0
    )
    score, reason = outcome(judge)
    assert score == one.score
    assert one.score is not None or re.search(one.words, reason), reason
    assert len(reason) < 1700
    assert reason.isascii() or "\x1b" not in reason
    # What passes is tried once more; an answer that is none is asked for once more.
    is_refused = re.search("status|not followed", one.words)
    asks_twice = one.score is None and (one.retried or not is_refused)
    assert server.n_requests == (2 if asks_twice else 1)


# Those that would take the most.
_LARGE = [one for one in misbehaviour.MISBEHAVIOURS if re.search("bomb|gibibyte", one.name)]


@pytest.mark.timeout(120)
def test_none_takes_more_memory_than_a_few_answers(serve):
    assert len(_LARGE) > 8
    for one in _LARGE:
        server = serve(one.speak)
        judge = Judge("m", base_url=server.url, cache=False, timeout_s=5, max_retries=0)
        tracemalloc.start()
        outcome(judge)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 16 * MAX_BYTES, one.name


_HANG = """
import sys
from textenv.chat import ChatAgent, ChatError
try:
    ChatAgent("m", base_url=sys.argv[1], timeout_s=1.0, max_retries=0).reply([])
except ChatError as error:
    print(error.kind)
"""


@pytest.mark.timeout(60)
def test_the_deadline_is_of_the_whole_answer(serve):
    """Against a server that sends a byte each 20 ms for minutes, in a process of its own."""
    server = serve(misbehaviour.drip(misbehaviour.http(b"", length=99_999)))
    done = subprocess.run(
        [sys.executable, "-c", _HANG, server.url],
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stdout.strip() == "timeout"


def test_a_redirect_is_not_followed_even_to_the_same_host(serve):
    elsewhere = serve(misbehaviour.http(misbehaviour.GOOD))
    for place in (f"{elsewhere.url}/chat/completions", "/v1/other", "http://other.invalid/"):
        first = serve(misbehaviour.http(b"", "307 No", f"location: {place}\r\n"))
        with pytest.raises(ChatError, match="not followed") as caught:
            ChatAgent("m", base_url=first.url).reply(_HELLO)
        assert caught.value.status == 307
        assert first.n_requests == 1
    assert elsewhere.n_requests == 0


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"]
)
def test_over_http_no_proxy_of_the_environment_sees_a_prompt(serve, monkeypatch, name):
    proxy = serve(misbehaviour.http(misbehaviour.GOOD))
    server = serve(misbehaviour.http(misbehaviour.GOOD))
    monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
    ChatAgent("m", base_url=server.url).reply(_HELLO)
    assert (server.n_requests, proxy.n_requests) == (1, 0)


def test_over_https_a_proxy_is_told_the_host_and_nothing_more(monkeypatch):
    heard: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            heard.append(connection.recv(65536))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://user:secret-pw@127.0.0.1:{listener.getsockname()[1]}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ChatError) as caught:
        ChatAgent("m", base_url="https://judge.invalid/v1", max_retries=0).reply(_HELLO)
    thread.join(10)
    listener.close()
    assert heard[0].startswith(b"CONNECT judge.invalid:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic " in heard[0]
    assert heard[1][:1] == b"\x16"  # the beginning of TLS
    assert b"Hello" not in b"".join(heard)
    assert "secret-pw" not in str(caught.value)


def test_a_server_without_tls_is_sent_nothing_over_https():
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(misbehaviour.http(misbehaviour.GOOD))
            heard.append(connection.recv(65536))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
    with pytest.raises(ChatError, match="cannot be reached"):
        ChatAgent("m", base_url=url, max_retries=0, timeout_s=20).reply(_HELLO)
    thread.join(10)
    listener.close()
    assert b"Hello" not in heard[0]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:8000/v1", "must be an address"),
        ("ftp://host/v1", "must be an address"),
        ("file:///etc/passwd", "must be an address"),
        ("http://", "must be an address"),
        ("http://:80/v1", "must be an address"),
        ("http://host:99999/v1", "must be an address"),
        ("http://host:0/v1", "must be an address"),
        ("http://[::1/v1", "must be an address"),
        ("http://host/v1\r\nx: y", "must be an address"),
        ("http://host/ö", "must be an address"),
        ("http://host/a b", "holds a space"),
        ("http://user:planted@host/v1", "a user's name or a password"),
        ("http://planted@host/v1", "a user's name or a password"),
        ("http://host/v1?api_key=planted", "goes on after"),
        ("http://host/v1#planted", "goes on after"),
    ],
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused(url, words):
    with pytest.raises(ConfigError, match=words) as caught:
        check_url(url)
    assert "planted" not in str(caught.value)


def test_a_storm_of_failures_ends(serve):
    """Twenty questions to a server that fails each in another way."""
    passing = [one.speak for one in misbehaviour.MISBEHAVIOURS if one.retried]
    kinds = [speak for speak in passing if not callable(speak)]
    left = iter(kinds * 9)
    lock = threading.Lock()

    def speak(connection: socket.socket) -> None:
        with lock:
            data = next(left)
        connection.sendall(data)

    server = serve(speak)
    judge = Judge(
        "m",
        base_url=server.url,
        cache=False,
        timeout_s=2,
        max_retries=3,
        backoff_s=0,
        on_failure="mark",
    )
    episodes = [
        Episode(_EPISODE.example, (Turn("user", "Say it."), Turn("assistant", str(i))))
        for i in range(20)
    ]
    try:
        result = call_reward(judge, episodes)
    except RewardError:
        return
    assert result.valid is not None
    assert not result.valid.any()


def test_a_slow_reader_of_the_request_is_given_up(serve):
    def speak(connection: socket.socket) -> None:
        time.sleep(3)

    listener = socket.create_server(("127.0.0.1", 0))  # accepts nothing, so reads nothing
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        with pytest.raises(ChatError, match="in time"):
            ChatAgent("m", base_url=url, timeout_s=0.3, max_retries=0).reply(
                [{"role": "user", "content": "x" * 2**23}]
            )
    finally:
        listener.close()
