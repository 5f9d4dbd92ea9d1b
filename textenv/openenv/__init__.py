"""OpenEnv, both ways: our environments behind its server, and its text environments as ours.

    textenv openenv TextDialogue-v0                 # a server on this machine

    env = OpenEnvClient("http://127.0.0.1:8000")    # its episodes, as any other environment

The client speaks OpenEnv's protocol itself and needs the package `websockets` alone; the server and
the graders need `openenv`. Both come with textenv[openenv].
"""

from __future__ import annotations

from textenv.openenv.client import OpenEnvClient, OpenEnvVectorClient
from textenv.openenv.connection import OpenEnvError
from textenv.openenv.grading import grade
from textenv.openenv.server import make_app

__all__ = ["OpenEnvClient", "OpenEnvError", "OpenEnvVectorClient", "grade", "make_app"]
