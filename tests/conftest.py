"""For all tests: float32 everywhere, a chat endpoint on this machine, and a reader of pages."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import agents.models.options

Answer = tuple[int, str]


class ChatServer:
    """Notes each request, and answers by calling `answer` on its body.

    `headers` go with every answer; as they are, a refusal asks to be sent again after 1 ms.
    """

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Answer] = lambda body: self.completion("Hi.")
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers = {"retry-after-ms": "1"}
        noted = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                noted.bodies.append(body)
                noted.paths.append(self.path)
                status, text = noted.answer(body)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                for header in noted.headers.items():
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *arguments: Any) -> None:
                """Says nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    @staticmethod
    def completion(text: str | None, finish_reason: str = "stop") -> Answer:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        return 200, json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "m",
                                "choices": [choice]})  # fmt: skip

    def in_turn(self, *answers: Answer) -> None:
        """Gives these answers one after the other."""
        left = list(answers)
        self.answer = lambda body: left.pop(0)

    def start(self) -> None:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[ChatServer]:
    server = ChatServer()
    server.start()
    yield server
    server.stop()


_VOID = {"meta", "link", "input", "br", "wbr", "col", "hr", "img"}


class Page(HTMLParser):
    """Collects what a browser would make of a page: elements, attributes, texts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((tuple(self.open), data))

    def with_class(self, name: str) -> list[dict[str, str]]:
        return [a for _, a in self.elements if name in a.get("class", "").split()]

    def ids(self) -> list[str]:
        return [a["id"] for _, a in self.elements if "id" in a]


@pytest.fixture(scope="session")
def read_page() -> type[Page]:
    """Parses a page of HTML, and fails where an element is not closed."""
    return Page


@pytest.fixture(scope="session", autouse=True)
def _in_float32() -> Iterator[None]:
    """Laws and golden values hold in float32: a processor that gains by bfloat16 is not asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agents.models.options, "_cpu_flags", set)
        yield


@pytest.fixture(scope="session", autouse=True)
def _with_signals() -> Iterator[None]:
    """A shell that starts the tests in the background has them ignore Ctrl-C; here it counts."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
