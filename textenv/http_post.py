"""Sends JSON to an address and reads the answer: within a time, up to a size, from no other host.

Python's own `http.client`, since libraries above it bound the silence between two bytes rather than
the time of the whole answer, unpack it whatever its size, and follow redirects.

What cannot be bounded is the system's look-up of a host's name, which has its own limit.
"""

from __future__ import annotations

import base64
import io
import json
import socket
import ssl
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from textenv.errors import ConfigError

MAX_BYTES = 4 * 2**20  # of an answer, as it is sent and when it is unpacked
_PIECE = 2**16
_PORTS = {"http": 80, "https": 443}

Failure = Literal["connection", "broken", "timeout", "answer"]


class PostError(Exception):
    """There is no answer, or none that may be read.

    Attributes:
        kind: No connection, one that broke or does not speak HTTP, no whole answer in time, or an
            answer that is too large or packed in an unknown way.
    """

    def __init__(self, kind: Failure, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        status: Status of HTTP.
        headers: By name, in small letters.
        body: Unpacked.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def check_url(
    url: str, name: str = "base_url", example: str = "http://localhost:8000/v1"
) -> SplitResult:
    """Returns the parts of an address that requests can be sent to.

    Args:
        url: The address.
        name: Name of the argument, for the error.
        example: A right one, for the error.

    Raises:
        ConfigError: It is no such address, or holds a password or a key.
    """
    try:
        parts = urlsplit(url)
        is_right = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if is_right and (parts.username is not None or parts.password is not None):
        raise ConfigError(
            f"The address of '{parts.hostname}' holds a user's name or a password. Addresses are "
            "written down with a run: leave it out, set an environment variable to the key, and "
            "name it with api_key_env=..."
        )
    if is_right and (parts.query or parts.fragment):
        raise ConfigError(
            f"The address of '{parts.hostname}' goes on after '?' or '#'. Leave that out; a key "
            "belongs in an environment variable, which api_key_env=... names."
        )
    if not is_right or parts.scheme not in _PORTS or not (url.isascii() and url.isprintable()):
        raise ConfigError(
            f"{name} must be an address such as '{example}', with http or https, not {url!r}."
        )
    if " " in url:
        raise ConfigError(f"{name} holds a space: {url!r}.")
    return parts


def post_json(url: str, data: Any, headers: Mapping[str, str], timeout_s: float) -> Answer:
    """Posts JSON, and returns the answer, whatever its status; a redirect is not followed.

    Over https, a proxy of the environment (HTTPS_PROXY, unless NO_PROXY holds) passes on what it
    cannot read. Over http it could read everything, so the request goes to the host itself.

    Args:
        url: Checked by `check_url`.
        data: Anything that JSON can hold.
        headers: Further headers.
        timeout_s: Time for everything, from the connection to the last byte, in seconds.

    Raises:
        PostError: There is no answer that can be read.
    """
    content = json.dumps(data).encode()
    return _ask("POST", url, content, {"Content-Type": "application/json", **headers}, timeout_s)


def get_json(url: str, headers: Mapping[str, str], timeout_s: float) -> Answer:
    """Asks an address for JSON; what holds for `post_json` holds here.

    Raises:
        PostError: There is no answer that can be read.
    """
    return _ask("GET", url, None, headers, timeout_s)


def _ask(
    method: Literal["GET", "POST"],
    url: str,
    content: bytes | None,
    headers: Mapping[str, str],
    timeout_s: float,
) -> Answer:
    """Sends one request over a connection of its own."""
    parts = urlsplit(url)
    connection = _Connection(parts, time.monotonic() + timeout_s)
    try:
        connection.request(
            method,
            parts.path or "/",
            content,
            {"Accept": "application/json", "Connection": "close", **headers},
        )
        with connection.getresponse() as response:
            body = _read(response)
            known = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, known, _unpack(body, known.get("content-encoding", "")))
    except PostError:
        raise
    except TimeoutError as error:
        raise PostError("timeout", f"it took longer than {timeout_s:g} s") from error
    except Exception as error:  # what a server sends decides what http.client raises
        kind: Failure = "broken" if connection.is_connected else "connection"
        raise PostError(kind, _describe(error)) from error
    finally:
        connection.hang_up()


def _read(response: HTTPResponse) -> bytes:
    """Reads a body by pieces: a length that is told is not believed."""
    pieces = []
    while piece := response.read(_PIECE):
        pieces.append(piece)
    if response.length:
        raise IncompleteRead(b"", response.length)
    return b"".join(pieces)


def _unpack(body: bytes, encoding: str) -> bytes:
    """Unpacks a body that a server has packed without being asked."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity") or not body:
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise PostError("answer", f"it is packed as '{encoding[:20]}', which was not asked for")
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # of gzip or zlib; with no header
        unpacker = zlib.decompressobj(window)
        try:
            unpacked = unpacker.decompress(body, MAX_BYTES + 1)
        except zlib.error:
            continue
        if len(unpacked) > MAX_BYTES:
            raise PostError("answer", _too_large("unpacked "))
        if unpacker.eof:
            return unpacked
    raise PostError("answer", f"it is not {encoding}, though it says so")


def _too_large(what: str = "") -> str:
    return f"it is {what}larger than {MAX_BYTES // 2**20} MiB"


def _describe(error: Exception) -> str:
    if isinstance(error, IncompleteRead):
        return "the answer was cut off"
    if isinstance(error, HTTPException | ValueError):
        said = ascii(str(error))[:80]
        return f"it does not speak HTTP as it should ({type(error).__name__}: {said})"
    return str(error) or type(error).__name__


class _Connection(HTTPConnection):
    """A connection for one request that ends by a time."""

    def __init__(self, parts: SplitResult, until: float) -> None:
        host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
        self._until = until
        self._server_name = host if parts.scheme == "https" else None
        self._timed: _TimedSocket | None = None
        self.is_connected = False
        proxy = _find_proxy(host, port) if self._server_name else None
        if proxy is None:
            super().__init__(host, port)
            return
        super().__init__(str(proxy.hostname), proxy.port or 80)
        self.set_tunnel(host, port, _proxy_headers(proxy))

    def connect(self) -> None:
        """Connects by http.client's own way, over sockets that end by a time."""
        self._create_connection = self._open  # where http.client lets another one be set
        super().connect()
        assert self._timed is not None
        if self._server_name is not None:
            self.sock = self._timed = self._timed.secure(self._server_name)
        self.is_connected = True

    def hang_up(self) -> None:
        """Ends the connection; `close`, which http.client calls, leaves its answer readable."""
        self.close()
        if self._timed is not None:
            self._timed.end()

    def _open(self, address: tuple[str, int], *_: object) -> _TimedSocket:
        failure: OSError | None = None
        host, port = address
        for *__, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                place = (str(found[0]), port)
                opened = socket.create_connection(place, _seconds_left(self._until))
            except OSError as error:
                failure = error
            else:
                self._timed = _TimedSocket(opened, self._until)
                return self._timed
        raise failure or OSError(f"'{host}' has no address")


class _TimedSocket:
    """What http.client needs of a socket, each wait bounded by the time that is left."""

    def __init__(self, opened: socket.socket, until: float) -> None:
        self._socket = opened
        self._until = until
        self._n_read = 0

    def secure(self, server_name: str) -> _TimedSocket:
        context = ssl.create_default_context()
        with suppress(ImportError):
            import certifi

            context.load_verify_locations(certifi.where())
        self._socket.settimeout(_seconds_left(self._until))
        return _TimedSocket(
            context.wrap_socket(self._socket, server_hostname=server_name), self._until
        )

    def setsockopt(self, *option: Any) -> None:
        self._socket.setsockopt(*option)

    def sendall(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            self._socket.settimeout(_seconds_left(self._until))
            self._socket.sendall(data[start : start + _PIECE])

    def recv_into(self, buffer: Any) -> int:
        self._socket.settimeout(_seconds_left(self._until))
        n = self._socket.recv_into(buffer)
        self._n_read += n
        # Headers count, too: a server may send them without end.
        if self._n_read > MAX_BYTES + _PIECE:
            raise PostError("answer", _too_large())
        return n

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self))

    def close(self) -> None:
        """Does nothing: http.client closes a socket before it reads the answer from it."""

    def end(self) -> None:
        self._socket.close()


class _Incoming(io.RawIOBase):
    """The bytes that a socket receives."""

    def __init__(self, source: _TimedSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.recv_into(buffer)


def _seconds_left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _find_proxy(host: str, port: int) -> SplitResult | None:
    """Returns the environment's proxy for a host over https, if it has one."""
    url = getproxies().get("https")
    if not url or proxy_bypass(f"{host}:{port}"):
        return None
    return urlsplit(url if "://" in url else f"http://{url}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    known = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(known.encode()).decode()}"}
