"""Serves an environment of ours by OpenEnv's protocol: over WebSocket and HTTP, on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textenv.errors import ConfigError, TextEnvError
from textenv.listening import LOOPBACK, listen
from textenv.openenv.guard import SameOrigin
from textenv.secrets import mask_text

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

SESSIONS = 64
_THIS_MACHINE = (LOOPBACK, "localhost", "::1")
_MESSAGE_BYTES = 2**20  # of one message of a client


def make_app(
    id: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    sessions: int = SESSIONS,
    with_references: bool = False,
) -> FastAPI:
    """Makes OpenEnv's application of an environment, for uvicorn and the like.

    Args:
        id: Id of the environment.
        arguments: Further arguments of the environment, as `gymnasium.make` takes them.
        sessions: Number of episodes at once.
        with_references: Whether its list of tasks tells their prompts and ideal texts, for audits.

    Raises:
        ConfigError: openenv is not installed, or an argument is not valid.
        UnknownNameError: There is no environment of that id.
    """
    require_openenv("textenv openenv")
    from fastapi import Request
    from fastapi.responses import JSONResponse
    from openenv.core.env_server.http_server import create_app

    from textenv.openenv.environment import ServedEnvironment, TextEnvironment
    from textenv.openenv.models import TextAction, TextObservation, TextState

    if sessions < 1:
        raise ConfigError(f"The number of sessions is a whole number from 1 up, not {sessions}.")
    served = ServedEnvironment(id, sessions, arguments, with_references=with_references)

    class Session(TextEnvironment):
        """A session of this environment; OpenEnv makes one for each connection."""

        def __init__(self) -> None:
            super().__init__(served)

    app: FastAPI = create_app(
        Session,
        TextAction,
        TextObservation,
        env_name=id,
        max_concurrent_envs=sessions,
        state_cls=TextState,
    )

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": mask_text(str(error))}, 400)

    app.add_exception_handler(TextEnvError, refuse)
    return app


def serve(app: FastAPI, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serves until a signal ends it.

    Args:
        app: Application.
        host: Address to listen on; 127.0.0.1 lets only this machine in.
        port: Port to listen on; 0 for a free one.
        announce: Called with the address once the server listens.

    Raises:
        ConfigError: The address cannot be used.
    """
    listening = listen(host, port)
    name = f"[{host}]" if ":" in host else host
    announce(f"http://{name}:{listening.getsockname()[1]}")
    with listening, suppress(KeyboardInterrupt):
        make_server(app, host).run(sockets=[listening])


def make_server(app: FastAPI, host: str = LOOPBACK) -> uvicorn.Server:
    """Returns what serves an application, with bounds on what clients may send."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            SameOrigin(app) if host.lower() in _THIS_MACHINE else app,
            loop="asyncio",
            log_config=None,  # uvicorn's own closes every handler that the process has
            log_level="warning",
            access_log=False,
            server_header=False,
            ws_max_size=_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # what is unpacked could be of any size
            timeout_graceful_shutdown=1,
        )
    )


def require_openenv(what: str) -> None:
    """Checks that the package openenv is there.

    Raises:
        ConfigError: It is not.
    """
    try:
        import openenv  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{what} needs the package 'openenv': pip install 'textenv[openenv]'."
        ) from error
