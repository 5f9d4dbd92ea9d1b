"""The command `openenv`: serves an environment by OpenEnv's protocol, or writes its package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textenv.cli.arguments import Dataset, EnvKeys, Id, Model, RewardText, environment_keys
from textenv.cli.console import parse_spec
from textenv.cli.overrides import check_given_once
from textenv.listening import LOOPBACK
from textenv.tokenization import EMBEDDED
from textenv.vector import environment_arguments

PORT, SESSIONS = 8000, 64


def openenv(
    id: Id,
    overrides: EnvKeys = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default lets only this machine in.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = PORT,
    sessions: Annotated[int, typer.Option(min=1, max=4096, help="Episodes at once.")] = SESSIONS,
    references: Annotated[
        bool,
        typer.Option(
            "--references",
            help="Tell the prompt and the ideal texts of each task, for audits through the client.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write OpenEnv's package into this new folder instead of serving."),
    ] = None,
    model: Model = None,
    dataset: Dataset = None,
    reward: RewardText = None,
) -> None:
    """Serve an environment to anything that speaks OpenEnv's protocol.

    Each connection is a session of its own, and plays the episodes that the environment plays here:
    reset takes seed, or split and index; an action is a text. Ctrl-C ends it. With --out it writes
    openenv.yaml, the server's code, a Dockerfile and what 'openenv validate' asks for.
    """
    env = environment_keys(overrides or [])
    check_given_once(env, dataset=dataset, reward=reward)
    arguments = environment_arguments(
        model or EMBEDDED, parse_spec(dataset), parse_spec(reward), env
    )
    if out is not None:
        from textenv.openenv.package import write_package

        write_package(out, id, arguments, sessions=sessions)
        typer.echo(f"Written: {out}. Check it with: openenv validate {out} --level static")
        return
    from textenv.openenv.server import make_app, serve

    app = make_app(id, arguments, sessions=sessions, with_references=references)
    serve(app, host, port, lambda address: typer.echo(f"OpenEnv: {id} at {address} (Ctrl-C ends)"))
