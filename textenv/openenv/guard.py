"""Keeps pages of other sites from a server on this machine, whose texts they could read."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# A page elsewhere can point a name of its own at this machine; it is then in the Host header.
_HOST = re.compile(rb"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Any, Send], Awaitable[None]]


class SameOrigin:
    """An ASGI application around another one, for a server that listens on the loopback address.

    A browser names the site whose page asks in the header Origin, which programs do not send.

    Args:
        app: Application that answers what is let through.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Any, send: Send) -> None:
        """Answers one request, or opens one WebSocket."""
        if scope["type"] == "lifespan" or _is_ours(scope["headers"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            text = b"This server is for this machine: http://127.0.0.1:PORT"
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": text})


def _is_ours(headers: list[tuple[bytes, bytes]]) -> bool:
    hosts = [value for name, value in headers if name == b"host"]
    origins = [value for name, value in headers if name == b"origin"]
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        return False
    return all(origin == b"http://" + hosts[0] for origin in origins)
