"""Opens the sockets that servers listen on."""

from __future__ import annotations

import socket
import sys

from textenv.errors import ConfigError

LOOPBACK = "127.0.0.1"


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Args:
        host: Address to listen on; `LOOPBACK` lets only this machine in.
        port: Port to listen on; 0 for a free one.

    Raises:
        ConfigError: The address is not one of this machine, or the port is taken or not allowed.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise ConfigError(f"There is no address '{host}' ({error.strerror}).") from error
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # where two servers could then share a port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen()
    except OSError as error:
        made.close()
        of_host = "" if host == LOOPBACK else f" of {host}"
        raise ConfigError(
            f"Port {port}{of_host} cannot be used ({error.strerror}). Choose another one with "
            "--port, or --port 0 for a free one."
        ) from error
    return made
