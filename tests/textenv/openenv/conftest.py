"""A small OpenEnv server of the tests' own, which can misbehave; it needs `websockets` alone."""

from __future__ import annotations

import json
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from http import HTTPStatus

import pytest

pytest.importorskip("websockets", reason="the extra openenv is not installed")
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

WORDS = ("red", "green", "blue")
ACTION = {"properties": {"say": {"type": "string"}, "metadata": {}}, "required": ["say"]}


class FakeServer:
    """Asks for a colour, three times at most; the right one pays 1, a wrong one -0.25.

    Attributes:
        misbehave: Called with the kind of a message and its data; what it returns is sent in place
            of the answer, unless it is None.
        actions: Every action that came.
        resets: The arguments of every reset.
        keys: The header Authorization of every connection.
    """

    def __init__(self):
        self.misbehave = lambda kind, data: None
        self.actions, self.resets, self.keys = [], [], []
        self.schema = {"action": ACTION, "observation": {}, "state": {}}
        self.port = 0
        self.open = set()
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        self._server = serve(
            self._play, "127.0.0.1", self.port, process_request=self._http, compression=None
        )
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self):
        """Goes away, and hangs up on everybody."""
        self._server.shutdown()
        self._thread.join()
        for connection in list(self.open):
            connection.close_socket()
        until = time.monotonic() + 5
        while self.open and time.monotonic() < until:
            time.sleep(0.01)

    def _http(self, connection, request):
        if request.path == "/ws":
            self.keys.append(request.headers.get("Authorization"))
            return None
        if request.path == "/schema":
            return connection.respond(HTTPStatus.OK, json.dumps(self.schema))
        return connection.respond(HTTPStatus.NOT_FOUND, "")

    def _play(self, connection):
        self.open.add(connection)
        try:
            self._answer_all(connection)
        finally:
            self.open.discard(connection)

    def _answer_all(self, connection):
        word, n_said = "", 0
        for raw in connection:
            message = json.loads(raw)
            kind, data = message["type"], message.get("data", {})
            if kind == "close":
                return
            wrong = self.misbehave(kind, data)
            if kind == "reset":
                self.resets.append(data)
                word, n_said = WORDS[data.get("seed", 0) % len(WORDS)], 0
                answer = observation(f"Name the colour: {word}.", None)
            elif kind == "step":
                self.actions.append(data)
                n_said += 1
                right = data["say"] == word
                answer = observation(
                    f"Try again: {word}.", 1.0 if right else -0.25, right or n_said == 3
                )
            else:
                answer = {"type": "state", "data": {"episode_id": None, "step_count": n_said}}
            if wrong is None:
                connection.send(json.dumps(answer))
            elif wrong == "late":
                time.sleep(0.4)
                with suppress(ConnectionClosed):
                    connection.send(json.dumps(answer))
            elif wrong == "hang up":
                connection.close_socket()
            elif wrong != "silence":
                connection.send(wrong)


def observation(text, reward, done=False, **more):
    data = {"observation": {"text": text, **more}, "reward": reward, "done": done}
    return {"type": "observation", "data": data}


@pytest.fixture
def server():
    made = FakeServer()
    yield made
    made.stop()


@pytest.fixture
def on_step():
    """Makes a server misbehave at its n-th step."""

    def arrange(server, what, at=1):
        steps = []

        def misbehave(kind, data):
            steps.append(kind)
            return what if kind == "step" and steps.count("step") == at else None

        server.misbehave = misbehave

    return arrange


@pytest.fixture(scope="session")
def openenv():
    """The package openenv; what it warns of while it is imported is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("openenv.core", reason="the extra openenv is not installed")


@pytest.fixture(scope="session")
def run_server(openenv):
    """Serves an environment in a thread, as `textenv openenv` does, while a block runs."""
    from textenv.listening import LOOPBACK, listen
    from textenv.openenv.server import make_app, make_server

    @contextmanager
    def run(id, arguments=None, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of FastAPI, at OpenEnv
            app = make_app(id, arguments, **options)
        running = make_server(app)
        with listen(LOOPBACK, 0) as listening:
            thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
            thread.start()
            try:
                yield f"http://{LOOPBACK}:{listening.getsockname()[1]}"
            finally:
                running.should_exit = True
                thread.join()

    return run
