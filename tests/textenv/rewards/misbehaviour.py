"""What a judge's server may do wrong, one row each: what it sends, and what has to come of it.

To add one, write a row of `MISBEHAVIOURS`: the bytes that the server sends to each request, or a
function of the open connection, then what the judge has to make of it: a score from 0 to 1, or
words of the reason or error.
"""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

Speak = bytes | Callable[[socket.socket], None]
GOOD = json.dumps(
    {"choices": [{"message": {"role": "assistant", "content": '{"score": 10}'}}]}
).encode()


@dataclass(frozen=True)
class Misbehaviour:
    name: str
    speak: Speak
    score: float | None = None  # where the right result is one
    words: str = ""  # of the reason or error where there is none
    retried: bool = False  # whether it may pass, so that it is asked again


class RawServer:
    """Answers every request with the bytes that it is given, then closes the connection."""

    def __init__(self, speak: Speak) -> None:
        self._speak = speak
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.n_requests = 0
        self.heads: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self.heads.append(read_request(connection))
            self.n_requests += 1
            if callable(self._speak):
                self._speak(connection)
            else:
                connection.sendall(self._speak)

    def stop(self) -> None:
        # An accept that waits is not ended by close alone.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def read_request(connection: socket.socket) -> bytes:
    """Reads a whole request; returns its head."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        piece = connection.recv(65536)
        if not piece:
            return seen
        seen += piece
    head, _, body = seen.partition(b"\r\n\r\n")
    lines = (line.lower().split(b":") for line in head.split(b"\r\n")[1:])
    length = next(int(value) for name, *_, value in lines if name == b"content-length")
    while len(body) < length:
        body += connection.recv(65536)
    return head


def http(
    body: bytes, status: str = "200 OK", headers: str = "", length: int | str | None = "right"
) -> bytes:
    """Returns an answer, by default with the right length."""
    lines = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}"
    if length is not None:
        lines += f"content-length: {len(body) if length == 'right' else length}\r\n"
    return lines.encode("latin-1") + b"\r\n" + body


def content(text: Any) -> bytes:
    """Returns a completion whose content is this."""
    return http(json.dumps({"choices": [{"message": {"content": text}}]}).encode())


def drip(data: bytes, then: bytes = b"", pause_s: float = 0.02) -> Callable[[socket.socket], None]:
    """Sends the first part at once, then one byte of the rest at a time, for ever."""

    def speak(connection: socket.socket) -> None:
        connection.sendall(data)
        for i in range(10_000):
            connection.sendall(then[i : i + 1] or b" ")
            time.sleep(pause_s)

    return speak


def flood(head: bytes, piece: bytes, most: int = 2**30) -> Callable[[socket.socket], None]:
    """Sends a gibibyte, for as long as somebody reads it."""

    def speak(connection: socket.socket) -> None:
        connection.sendall(head)
        sent = 0
        block = piece * (65536 // len(piece))
        while sent < most:
            connection.sendall(block)
            sent += len(block)

    return speak


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_in_the_middle(connection: socket.socket) -> None:
    connection.sendall(http(GOOD[:20], length=len(GOOD)))
    time.sleep(0.02)
    reset(connection)


def silent(connection: socket.socket) -> None:
    time.sleep(3)


def bomb(encode: Callable[[bytes], bytes], name: str) -> bytes:
    """Returns an answer that is small until it is unpacked: 32 MiB of blanks, then a completion."""
    return http(encode(b" " * 2**25 + GOOD), headers=f"content-encoding: {name}\r\n")


def packed(data: bytes, name: str) -> bytes:
    return http(data, headers=f"content-encoding: {name}\r\n")


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + body + end


NOT = "not a chat completion"
NO_SCORE = "not a score"
_BAD_BODIES: dict[str, bytes] = {
    "an empty body": b"",
    "blanks": b" \n\t ",
    "HTML": b"<!doctype html><title>Welcome</title>",
    "a text": b'"fine"',
    "a number": b"7",
    "null": b"null",
    "NaN": b"NaN",
    "a list": b"[]",
    "a list in a list": b"[[[]]]",
    "no choices": b"{}",
    "choices that are null": b'{"choices": null}',
    "choices that are a text": b'{"choices": "abc"}',
    "choices that are a mapping": b'{"choices": {"0": 1}}',
    "no choice": b'{"choices": []}',
    "a choice that is null": b'{"choices": [null]}',
    "a choice that is a number": b'{"choices": [1]}',
    "no message": b'{"choices": [{}]}',
    "a message that is null": b'{"choices": [{"message": null}]}',
    "a message that is a list": b'{"choices": [{"message": []}]}',
    "no content": b'{"choices": [{"message": {}}]}',
    "JSON that is cut": GOOD[:-3],
    "JSON and more": GOOD + GOOD,
    "JSON with a trailing comma": b'{"choices": [1,]}',
    "lists 100,000 deep": b"[" * 100_000,
    "lists 100,000 deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "mappings 50,000 deep": b'{"choices":' * 50_000,
    "a number of 100,000 digits": b'{"choices": ' + b"9" * 100_000 + b"}",
    "a number with a huge exponent": b'{"choices": 1e999999999}',
    "bytes that are no UTF-8": b"\xff\xfe\xfd{}\x80",
    "null bytes": b"\x00" * 1000,
    "UTF-16 without end": b"\xff\xfe{",
    "half of a byte order mark": b"\xef\xbb{}",
    "an event stream": b"data: {}\n\ndata: [DONE]\n\n",
    "XML": b"<?xml version='1.0'?><a/>",
}
_BAD_CONTENTS: dict[str, Any] = {
    "content that is null": None,
    "content that is a number": 7,
    "content that is a list of parts": [{"type": "text", "text": '{"score": 10}'}],
    "content that is a mapping": {"score": 10},
    "content that is true": True,
}
_NO_SCORES: dict[str, str] = {
    "empty content": "",
    "prose": "Great!",
    "a score that is NaN": '{"score": NaN}',
    "a score that is infinite": '{"score": Infinity}',
    "a score of 5,000 digits": '{"score": ' + "9" * 5000 + "}",
    "a score with a huge exponent": '{"score": 1e999999}',
    "a score that is a text": '{"score": "10"}',
    "a score that is true": '{"score": true}',
    "two scores": '{"score": 1, "score": 9}',
    "content 100,000 deep": "[" * 100_000,
    "a lone surrogate": "\ud800",
    "escape sequences": "\x1b]52;c;aGk=\x07\x1b[2J",
    "a mebibyte of one word": "word " * 200_000,
}
_REDIRECTS = (
    "301 Moved Permanently",
    "302 Found",
    "303 See Other",
    "307 Temporary Redirect",
    "308 Permanent Redirect",
)
_STATUSES = {
    "408 Request Timeout": True,
    "409 Conflict": True,
    "429 Too Many Requests": True,
    "500 Internal Server Error": True,
    "502 Bad Gateway": True,
    "503 Service Unavailable": True,
    "529 Overloaded": True,
    "599 Whatever": True,
    "401 Unauthorized": False,
    "403 Forbidden": False,
    "404 Not Found": False,
    "405 Method Not Allowed": False,
    "418 I'm a teapot": False,
    "400 Bad Request": False,
    "413 Too Large": False,
    "422 Unprocessable": False,
    "300 Multiple Choices": False,
    "304 Not Modified": False,
    "101 Switching Protocols": False,
}

MISBEHAVIOURS = [
    # Right in spite of it.
    Misbehaviour("a right answer", http(GOOD), 1.0),
    Misbehaviour("no length, closed at the end", http(GOOD, length=None), 1.0),
    Misbehaviour("a wrong type of content", http(GOOD, headers="content-type: text/html\r\n"), 1.0),
    Misbehaviour(
        "an unknown charset", http(GOOD, headers="content-type: a/b; charset=??\r\n"), 1.0
    ),
    Misbehaviour("a byte order mark", http(b"\xef\xbb\xbf" + GOOD), 1.0),
    Misbehaviour("UTF-16", http(GOOD.decode().encode("utf-16")), 1.0),
    Misbehaviour("chunks of a byte", chunked(*(GOOD[i : i + 1] for i in range(len(GOOD)))), 1.0),
    Misbehaviour("chunks and a trailer", chunked(GOOD, end=b"0\r\nx: y\r\n\r\n"), 1.0),
    Misbehaviour("gzip, unasked", packed(gzip.compress(GOOD), "gzip"), 1.0),
    Misbehaviour("zlib, unasked", packed(zlib.compress(GOOD), "deflate"), 1.0),
    Misbehaviour("deflate without a header", packed(raw_deflate(GOOD), "deflate"), 1.0),
    Misbehaviour("status 201", http(GOOD, "201 Created"), 1.0),
    Misbehaviour("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\n" + GOOD, 1.0),
    Misbehaviour("no words after the status", b"HTTP/1.1 200\r\n\r\n" + GOOD, 1.0),
    Misbehaviour("a hundred before it", b"HTTP/1.1 100 Continue\r\n\r\n" * 100 + http(GOOD), 1.0),
    Misbehaviour("a length that is no number", http(GOOD, length="many"), 1.0),  # until it closes
    Misbehaviour("a negative length", http(GOOD, length=-1), 1.0),
    Misbehaviour(
        "more after the length", http(GOOD) + b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 999, 1.0
    ),
    # Answers that are none.
    *(Misbehaviour(name, http(body), words=NOT) for name, body in _BAD_BODIES.items()),
    *(Misbehaviour(n, content(value), words="without text") for n, value in _BAD_CONTENTS.items()),
    *(Misbehaviour(name, content(text), words=NO_SCORE) for name, text in _NO_SCORES.items()),
    Misbehaviour("status 204", http(b"", "204 No Content", length=None), words=NOT),
    Misbehaviour("a length that is too short", http(GOOD, length=9), words=NOT),
    Misbehaviour("status 206, a part", http(GOOD[:9], "206 Partial Content"), words=NOT),
    # Sizes.
    Misbehaviour("a gibibyte", flood(http(b"", length=2**30), b"x"), words="larger than 4 MiB"),
    Misbehaviour("a gibibyte of JSON", flood(http(b"[", length=2**30), b"[],"), words="4 MiB"),
    Misbehaviour("a gibibyte without a length", flood(http(b"", length=None), b" "), words="4 MiB"),
    Misbehaviour(
        "a gibibyte of chunks",
        flood(chunked(end=b""), b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        words="4 MiB",
    ),
    Misbehaviour(
        "a status line without end", flood(b"HTTP/1.1 200 ", b"x"), words="HTTP", retried=True
    ),
    Misbehaviour(
        "a header without end",
        flood(b"HTTP/1.1 200 OK\r\nx: ", b"x"),
        words="HTTP|line",
        retried=True,
    ),
    Misbehaviour(
        "headers without end",
        flood(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
        words="headers",
        retried=True,
    ),
    Misbehaviour(
        "a trailer without end", flood(chunked(GOOD, end=b"0\r\n"), b"x: y\r\n"), words="4 MiB"
    ),
    Misbehaviour(
        "hundreds without end", flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), words="4 MiB"
    ),
    Misbehaviour(
        "a gzip bomb", bomb(lambda data: gzip.compress(data, 1), "gzip"), words="unpacked larger"
    ),
    Misbehaviour(
        "a zlib bomb", bomb(lambda data: zlib.compress(data, 1), "deflate"), words="unpacked larger"
    ),
    Misbehaviour(
        "a bomb in a bomb",
        packed(gzip.compress(gzip.compress(b" " * 2**25, 1)), "gzip, gzip"),
        words="packed as",
    ),
    Misbehaviour("brotli", packed(b"\x8b\x02\x80", "br"), words="packed as 'br'"),
    Misbehaviour("zstandard", packed(b"\x28\xb5\x2f\xfd", "zstd"), words="packed as 'zstd'"),
    Misbehaviour("gzip that is none", packed(GOOD, "gzip"), words="is not gzip"),
    Misbehaviour("gzip that is cut", packed(gzip.compress(GOOD)[:-9], "gzip"), words="is not gzip"),
    Misbehaviour("a length of exbibytes", http(GOOD, length=2**62), words="cut off", retried=True),
    Misbehaviour("a length of 5,000 digits", http(GOOD, length="9" * 5000), 1.0),
    # Time.
    Misbehaviour("silence", silent, words="in time", retried=True),
    Misbehaviour(
        "headers, then silence",
        lambda c: (c.sendall(http(b"", length=9)), silent(c))[1],
        words="in time",
        retried=True,
    ),
    Misbehaviour(
        "a byte at a time", drip(http(b"", length=99_999), GOOD), words="in time", retried=True
    ),
    Misbehaviour(
        "a byte at a time, in chunks",
        drip(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffff\r\n"),
        words="in time",
        retried=True,
    ),
    Misbehaviour(
        "a header at a time",
        drip(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 2000),
        words="in time",
        retried=True,
    ),
    Misbehaviour(
        "a status line at a time", drip(b"", b"HTTP/1.1 200 OK"), words="in time", retried=True
    ),
    Misbehaviour(
        "hundreds at a time",
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 400),
        words="in time",
        retried=True,
    ),
    Misbehaviour(
        "an error at a time", drip(http(b"", "500 Oh", length=9999)), words="in time", retried=True
    ),
    # Connections that break, and other languages.
    Misbehaviour("closed at once", b"", words="was reached, but", retried=True),
    Misbehaviour("reset at once", reset, words="was reached, but", retried=True),
    Misbehaviour(
        "reset in the middle", reset_in_the_middle, words="was reached, but", retried=True
    ),
    Misbehaviour(
        "a length that is too long", http(GOOD, length=9999), words="cut off", retried=True
    ),
    Misbehaviour("chunks that are cut", chunked(GOOD, end=b""), words="cut off", retried=True),
    Misbehaviour(
        "a chunk that is cut",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfff\r\nabc",
        words="cut off",
        retried=True,
    ),
    Misbehaviour(
        "a chunk of a wrong size",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc",
        words="cut off",
        retried=True,
    ),
    Misbehaviour(
        "a chunk of a negative size",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\nabc",
        words="HTTP|cut off",
        retried=True,
    ),
    Misbehaviour(
        "a chunk of exbibytes",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        words="cut off",
        retried=True,
    ),
    Misbehaviour("not HTTP", b"SSH-2.0-OpenSSH_9.6\r\n", words="HTTP", retried=True),
    Misbehaviour("null bytes for HTTP", b"\x00" * 200, words="HTTP", retried=True),
    Misbehaviour("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46", words="HTTP", retried=True),
    Misbehaviour("HTTP/0.9", GOOD, words="HTTP", retried=True),
    Misbehaviour("HTTP/9.9", b"HTTP/9.9 200 OK\r\n\r\n" + GOOD, words="HTTP", retried=True),
    Misbehaviour("status 0", b"HTTP/1.1 000 No\r\n\r\n" + GOOD, words="HTTP", retried=True),
    Misbehaviour("a status of letters", b"HTTP/1.1 abc\r\n\r\n" + GOOD, words="HTTP", retried=True),
    Misbehaviour(
        "a negative status", b"HTTP/1.1 -200 OK\r\n\r\n" + GOOD, words="HTTP", retried=True
    ),
    # Refusals.
    *(
        Misbehaviour(
            f"redirect {s}",
            http(b"", s, "location: http://127.0.0.1:1/v1\r\n"),
            words="not followed",
        )
        for s in _REDIRECTS
    ),
    Misbehaviour("a redirect without a place", http(b"", "307 No"), words="not followed"),
    Misbehaviour(
        "a redirect to a file",
        http(b"", "307 No", "location: file:///etc/passwd\r\n"),
        words="not followed",
    ),
    *(
        Misbehaviour(f"status {s}", http(b"{}", s), words=f"status {s[:3]}", retried=r)
        for s, r in _STATUSES.items()
    ),
    *(
        Misbehaviour(
            f"a refusal with {name}", http(body, "500 Oh"), words="status 500", retried=True
        )
        for name, body in _BAD_BODIES.items()
    ),
    Misbehaviour(
        "a refusal of a gibibyte", flood(http(b"", "500 Oh", length=2**30), b"x"), words="4 MiB"
    ),
    Misbehaviour(
        "a refusal that is a bomb",
        http(gzip.compress(b" " * 2**25, 1), "400 No", "content-encoding: gzip\r\n"),
        words="unpacked larger",
    ),
    *(
        Misbehaviour(
            f"retry-after {value[:30]}",
            http(b"{}", "429 Slow down", f"retry-after: {value}\r\n"),
            words="status 429",
            retried=retried,
        )
        for value, retried in {
            "1e9": False,
            "3600": False,
            "9" * 400: True,
            "1e400": True,
            "nan": True,
            "-5": True,
            "soon": True,
            "": True,
            "0": True,
            "Fri, 31 Dec 9999 23:59:59 GMT": False,
            "Fri, 99 Dec 2099 99:99:99 GMT": True,
            "Mon, 01 Jan 0001 00:00:00 +2300": True,
            "\xff\xff": True,
        }.items()
    ),
]
