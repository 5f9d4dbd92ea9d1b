"""One session at an OpenEnv server: a WebSocket on which resets and steps are asked and answered.

The messages are those of openenv 0.10: {"type": "reset" | "step" | "state", "data": {...}} is
answered by "observation", "state" or "error". Every answer has a time and a size that it may take.
"""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from textenv.chat import brief
from textenv.errors import ConfigError, TextEnvError
from textenv.keys import read_key
from textenv.plain_json import load_json
from textenv.safe_text import without_lone_surrogates
from textenv.secrets import mask_text

MAX_BYTES = 4 * 2**20  # of one answer
_CLOSE_S = 2.0  # for a server to let go of a session

Kind = Literal["connection", "timeout", "capacity", "refused", "answer"]


class OpenEnvError(TextEnvError):
    """An OpenEnv server cannot be reached, refuses, or answers with what cannot be read.

    Attributes:
        kind: Kind of failure: no connection or one that broke, no answer in time, no session
            left, an error that the server reports, or an answer that is not as it should be.
    """

    def __init__(self, message: str, kind: Kind) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def passes(self) -> bool:
        """Whether the same may well succeed later."""
        return self.kind in ("connection", "timeout", "capacity")


@dataclass(frozen=True)
class Endpoint:
    """Where an OpenEnv server is, and how long it may take.

    Attributes:
        url: Address of the server, with http or https.
        api_key_env: Name of the environment variable that holds a key for the server, with API_KEY
            or API_TOKEN in it; None sends none.
        timeout_s: Time for one answer, in seconds.
        connect_timeout_s: Time for a connection to be made, in seconds.
    """

    url: str
    api_key_env: str | None = None
    timeout_s: float = 60.0
    connect_timeout_s: float = 10.0

    def headers(self) -> dict[str, str]:
        """Returns what shows who asks."""
        if self.api_key_env is None:
            return {}
        key = read_key(self.api_key_env)
        if key is None:
            raise ConfigError(
                f"The environment variable {self.api_key_env}, which api_key_env names, is not set."
            )
        return {"Authorization": f"Bearer {key}"}


@dataclass(frozen=True)
class Answered:
    """What a server answers to a reset or a step.

    Attributes:
        observation: Fields of the observation.
        reward: What the step paid, if the server says it.
        done: Whether the episode is over.
        metadata: What the server adds.
    """

    observation: Mapping[str, Any]
    reward: float | None
    done: bool
    metadata: Mapping[str, Any]


class Connection:
    """A session at a server. It plays one episode at a time, which `reset` begins.

    After any `OpenEnvError` but "refused", the connection is closed: what the server might still
    answer would be taken for the answer to something else.

    Raises:
        OpenEnvError: The server cannot be reached.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._socket = _connect(endpoint)
        self.is_open = True

    def reset(self, arguments: Mapping[str, Any]) -> Answered:
        """Begins an episode."""
        return self._read_step(self._ask("reset", arguments, "observation"))

    def step(self, action: Mapping[str, Any]) -> Answered:
        """Takes an action."""
        return self._read_step(self._ask("step", action, "observation"))

    def state(self) -> Mapping[str, Any]:
        """Returns what the server tells of the session."""
        return self._ask("state", None, "state")

    def close(self) -> None:
        """Ends the session, and waits for the server to let go of it."""
        if not self.is_open:
            return
        self.is_open = False
        with suppress(Exception):
            self._socket.send(json.dumps({"type": "close"}))
            until = time.monotonic() + _CLOSE_S
            while (left := until - time.monotonic()) > 0:
                self._socket.recv(timeout=left)
        self._hang_up()

    def _hang_up(self) -> None:
        self.is_open = False
        with suppress(Exception):
            self._socket.socket.shutdown(socket.SHUT_RDWR)
        with suppress(Exception):
            self._socket.close()

    def _ask(self, kind: str, data: Mapping[str, Any] | None, wanted: str) -> Mapping[str, Any]:
        """Sends one message, and returns the data of its answer."""
        if not self.is_open:
            raise self._error("connection", "the connection is closed")
        message = json.dumps({"type": kind} if data is None else {"type": kind, "data": data})
        try:
            with suppress(_closed()):  # a full server has said why before it hung up
                self._socket.send(message)
            raw = self._socket.recv(timeout=self._endpoint.timeout_s)
        except TimeoutError as error:
            self._hang_up()
            raise self._error(
                "timeout",
                f"there was no answer to '{kind}' within {self._endpoint.timeout_s:g} s. Give a "
                "longer timeout_s if the server needs it",
            ) from error
        except _closed() as error:
            self._hang_up()
            raise self._error("connection", f"it hung up: {_why(error)}") from error
        except Exception as error:  # what a server sends decides what the library raises
            self._hang_up()
            raise self._error("connection", _why(error)) from error
        except BaseException:
            self._hang_up()  # interrupted: the answer is still to come
            raise
        return self._read(raw, wanted)

    def _read(self, raw: str | bytes, wanted: str) -> Mapping[str, Any]:
        try:
            answer = without_lone_surrogates(load_json(raw))
            given, data = answer["type"], answer["data"]
            if not isinstance(data, dict):
                raise TypeError
        except (ValueError, LookupError, TypeError):
            self._hang_up()
            raise self._error(
                "answer", f"it is no answer of OpenEnv: {_quoted(str(raw)[:2000])}"
            ) from None
        if given == "error":
            code = str(data.get("code"))
            kind: Kind = "capacity" if code == "CAPACITY_REACHED" else "refused"
            if code in ("CAPACITY_REACHED", "FACTORY_ERROR", "SESSION_ERROR"):
                self._hang_up()
            raise self._error(kind, f"{_quoted(str(data.get('message')))} ({_quoted(code)})")
        if given != wanted:
            self._hang_up()
            raise self._error("answer", f"it is '{_quoted(str(given))}' in place of '{wanted}'")
        return data

    def _read_step(self, data: Mapping[str, Any]) -> Answered:
        observation, reward, done = data.get("observation"), data.get("reward"), data.get("done")
        metadata = data.get("metadata")
        problem = ""
        if not isinstance(observation, dict):
            problem = "it has no observation"
        elif not isinstance(done, bool):
            problem = f"'done' is {_quoted(repr(done))}, not true or false"
        elif reward is not None and finite(reward) is None:
            problem = f"the reward is {_quoted(repr(reward))}, not a finite number"
        if problem or not isinstance(observation, dict):
            self._hang_up()
            raise self._error("answer", problem)
        if not isinstance(metadata, dict):
            metadata = observation.get("metadata")
        return Answered(
            observation,
            finite(reward),
            bool(done),
            metadata if isinstance(metadata, dict) else {},
        )

    def _error(self, kind: Kind, reason: str) -> OpenEnvError:
        return failure(self._endpoint.url, kind, reason)


def finite(value: object) -> float | None:
    """Returns a finite number of JSON, or a truth value, as a float; None for anything else."""
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def failure(url: str, kind: Kind, reason: str) -> OpenEnvError:
    """Returns an error with what to do about it."""
    what, hint = _FAILURES[kind]
    return OpenEnvError(f"The OpenEnv server at {url} {what}: {reason}.{hint}", kind)


_FAILURES: Mapping[Kind, tuple[str, str]] = {
    "connection": ("is not there", " Is it running, and is the address right?"),
    "timeout": ("does not answer", ""),
    "capacity": (
        "plays as many episodes at once as it may",
        " Take fewer environments at a time (n_envs, num_envs), or start it with more sessions "
        "(textenv openenv ID --sessions N; max_concurrent_envs in OpenEnv).",
    ),
    "refused": ("reports an error", ""),
    "answer": ("gives an answer that cannot be read", ""),
}


def _connect(endpoint: Endpoint) -> Any:
    """Opens a WebSocket. It goes to the host that is named: no proxy, and no redirect."""
    try:
        from websockets.sync.client import connect
    except ModuleNotFoundError as error:
        raise ConfigError(
            "OpenEnvClient needs the package 'websockets': pip install 'textenv[openenv]'."
        ) from error
    headers = endpoint.headers()  # before there is a socket: a key may be missing
    parts = urlsplit(endpoint.url)
    secure = parts.scheme == "https"
    until = time.monotonic() + endpoint.connect_timeout_s
    try:
        # With a socket of its own, the library follows no redirect.
        opened = socket.create_connection(
            (str(parts.hostname), parts.port or (443 if secure else 80)),
            endpoint.connect_timeout_s,
        )
        try:
            opening = connect(
                f"{'wss' if secure else 'ws'}://{parts.netloc}{parts.path.rstrip('/')}/ws",
                sock=opened,
                compression=None,  # what is unpacked could be of any size
                additional_headers=headers,
                open_timeout=max(0.1, until - time.monotonic()),
                close_timeout=_CLOSE_S,
                max_size=MAX_BYTES,
            )
            # The library warns of connections that are not used in a `with`; ours live longer.
            return opening.__enter__()
        except BaseException:
            opened.close()
            raise
    except TimeoutError as error:
        raise failure(
            endpoint.url, "timeout", f"no connection within {endpoint.connect_timeout_s:g} s"
        ) from error
    except Exception as error:  # what a server sends decides what the library raises
        raise failure(endpoint.url, "connection", _why(error)) from error


def _closed() -> type[Exception]:
    from websockets.exceptions import ConnectionClosed

    return ConnectionClosed


def _why(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return _quoted(said or type(error).__name__).rstrip(".")


def _quoted(text: str) -> str:
    """Returns what a server said, short, on one line and without keys."""
    return brief(mask_text(text), 400)
