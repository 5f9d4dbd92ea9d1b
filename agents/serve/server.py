"""Starts the server of the page."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from agents.serve.watched_runs import WatchedRuns
from textenv.errors import ConfigError
from textenv.listening import LOOPBACK, listen

ADDRESS = LOOPBACK
_NICENESS = 10  # a training on the same cores goes first


def serve(folders: Sequence[Path], port: int, announce: Callable[[str], None]) -> None:
    """Serves runs on this machine until a signal ends it.

    Args:
        folders: Folders of runs, or folders that hold runs.
        port: Port to listen on; 0 for a free one.
        announce: Called with the address once the server listens.

    Raises:
        ConfigError: A folder does not exist, the port is taken, or a package is missing.
    """
    try:
        import uvicorn

        from agents.serve.app import make_app
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise ConfigError(
            f"textenv serve needs the package '{error.name}': pip install 'textenv[serve]'."
        ) from error

    app = make_app(WatchedRuns(folders))
    listening = listen(ADDRESS, port)
    announce(f"http://{ADDRESS}:{listening.getsockname()[1]}/")
    with suppress(OSError, AttributeError):  # there is no such thing on Windows
        os.nice(_NICENESS)
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,  # uvicorn's own closes every handler that the process has
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    with listening, suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
