"""Writes an environment of ours as a package of OpenEnv, for its validator, Docker and Spaces."""

from __future__ import annotations

import json
import os
import pprint
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

import textenv
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.keys import refuse_secrets
from textenv.named_code import find_code
from textenv.openenv.arguments import text_level
from textenv.output_paths import check_new_folder
from textenv.plain_json import load_json
from textenv.registry import environment_row, load_registry, registry_path
from textenv.rewards import compute_rewards
from textenv.rewards.catalog import REWARDS
from textenv.rollout import SpeakerWriter, play_examples
from textenv.storage.whole_files import write_whole
from textenv.vector import make_core

TAG = "textenv"
BLOCK = "textenv"  # of openenv.yaml: which environment it is
_WORDS = ("split", "action_level", "text_observation")  # arguments whose texts are never paths
_N_MEASURED = 32
_MOST_TOLERANCE, _LEAST_MARGIN = 0.1, 0.1  # the bounds of OpenEnv's policy
_TIMEOUT_S = 600.0


def write_package(
    folder: Path, id: str, arguments: Mapping[str, Any] | None = None, *, sessions: int = 64
) -> None:
    """Writes openenv.yaml, the server's code, a Dockerfile and a plan for OpenEnv's validator.

    Args:
        folder: New folder.
        id: Id of the environment.
        arguments: Further arguments of the environment, as `gymnasium.make` takes them.
        sessions: Number of episodes at once.

    Raises:
        ConfigError: The folder cannot be written, or an argument names something that is on this
            machine alone, or is not a JSON value.
        UnknownNameError: There is no environment of that id.
    """
    given = dict(arguments or {})
    row = environment_row(id)
    if id not in {known.id for known in load_registry(registry_path())}:
        raise ConfigError(
            f"'{id}' is listed in a registry file of this machine alone, so a package of OpenEnv "
            "cannot name it. Serve it from here, without --out."
        )
    check_new_folder(folder)
    refuse_secrets(given)
    given = _plain(given)
    _refuse_local(given)
    core = make_core(id, _N_MEASURED, text_level(given))
    name = re.sub(r"\W+", "_", id.removesuffix("-v0")).lower()
    server = folder / "server"
    server.mkdir(parents=True)
    manifest = {
        "spec_version": 1,
        "name": name,
        "version": textenv.__version__,
        "description": row.description,
        "type": "space",
        "runtime": "fastapi",
        "app": "server.app:app",
        "port": 8000,
        BLOCK: {"id": id, "arguments": given},
        "validation": _validation(core, given.get("reward", row.kwargs.reward)),
    }
    files = {
        "openenv.yaml": yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True),
        "server/__init__.py": '"""The server."""\n',
        "server/app.py": _APP.format(
            id=id, arguments=pprint.pformat(given, sort_dicts=False), sessions=sessions
        ),
        "Dockerfile": _DOCKERFILE.format(version=textenv.__version__),
        "pyproject.toml": _PYPROJECT.format(
            name=name.replace("_", "-"), id=id, version=textenv.__version__
        ),
        "README.md": _README.format(id=id, image=name, description=row.description),
        "validation/runtime.json": json.dumps(_plan(core), indent=2, ensure_ascii=False) + "\n",
    }
    (folder / "validation").mkdir()
    for path, text in files.items():
        write_whole(folder / path, text)


def _validation(core: TextCore, reward: Any) -> dict[str, Any]:
    """Returns what the validator is told; the reward is measured on ideal and on empty texts."""
    dataset = core.dataset()
    examples = [dataset[i] for i in range(min(_N_MEASURED, len(dataset)))]
    ideal, empty = (
        compute_rewards(core.reward, [one.conversation for one in played]).total
        for played in (
            play_examples(core, SpeakerWriter(core, core.task.gold), examples),
            play_examples(core, SpeakerWriter(core, lambda *_: ""), examples),
        )
    )
    known = REWARDS[reward].bounds if isinstance(reward, str) and reward in REWARDS else (None,) * 2
    low = float(np.min([*ideal, *empty])) if known[0] is None else known[0]
    high = float(np.max([*ideal, *empty, low + _LEAST_MARGIN])) if known[1] is None else known[1]
    short = float(np.ceil(100 * (high - ideal.mean())) / 100)
    return {
        "reward": {
            # A step that does not end the episode pays 0.
            "range": [min(low, 0.0), max(high, 0.0)],
            "oracle_tolerance": min(max(short, 0.0), _MOST_TOLERANCE),
            "floor_margin": _LEAST_MARGIN,
        },
        "resources": {
            "cpu": 1.0,
            "memory_mb": 2048,
            "disk_mb": 4096,
            "episode_timeout_s": _TIMEOUT_S,
        },
        "capabilities": {"verifier": {"kind": "reward_channel"}, "task_api": True},
        "types": {"tags": [TAG, "text"]},
        "execution": {"kind": "openenv_ws", "agent_boundary": "api"},
    }


def _plan(core: TextCore) -> dict[str, Any]:
    """Returns the episode that the validator plays: the ideal one of a seed."""
    seed = 0
    rng = np.random.default_rng(seed)
    example = core.choose_example(rng, {})
    played = play_examples(core, SpeakerWriter(core, core.task.gold), [example])
    return {
        "plan_schema_version": "1",
        "reset": {"episode_id": "validation-0", "seed": seed},
        "actions": [{"text": text} for text in played[0].conversation.responses],
    }


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments as YAML and Python write them alike."""
    try:
        plain: dict[str, Any] = load_json(json.dumps(arguments, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"A package holds texts, numbers, lists and mappings, and an argument is none: {error}."
            " Name the task, reward or dataset instead of giving the object."
        ) from error
    return plain


def _refuse_local(arguments: Mapping[str, Any]) -> None:
    """Refuses what is not there where the package will run."""
    if code := find_code(arguments):
        raise ConfigError(
            f"A package cannot hold code of your own, and '{code[0]}' names some. Serve it from "
            "here, without --out."
        )
    named = {name: value for name, value in arguments.items() if name not in _WORDS}
    for text in _texts(named):
        # As a data set's path is read: "~" is the user's own folder.
        if "\0" not in text and os.path.exists(os.path.expanduser(text)):
            raise ConfigError(
                f"'{text}' is on this machine alone, so a package of OpenEnv cannot name it. Put "
                "it on the Hugging Face Hub and give its id, or serve it from here, without --out."
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


_APP = '''\
"""Serves {id} by OpenEnv's protocol."""

import argparse

from textenv.openenv import make_app

ARGUMENTS = {arguments}

app = make_app("{id}", ARGUMENTS, sessions={sessions})


def main() -> None:
    """Serves it on the command line."""
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    uvicorn.run(app, host=args.host, port=args.port, ws_max_size=2**20)


if __name__ == "__main__":
    main()
'''
_DOCKERFILE = """\
FROM python:3.12-slim
RUN pip install --no-cache-dir "textenv[openenv]=={version}"
RUN useradd --create-home app
WORKDIR /app/env
COPY . .
USER app
ENV PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=3s --start-period=20s \\
    CMD python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health')"
CMD ["uvicorn", "server.app:app", "--host", "0.0.0.0", "--port", "8000", "--ws-max-size", "1048576"]
"""
_PYPROJECT = """\
[project]
name = "openenv-{name}"
version = "{version}"
description = "{id} of textenv as an environment of OpenEnv"
requires-python = ">=3.11"
dependencies = ["openenv>=0.10", "textenv[openenv]=={version}"]

[project.scripts]
server = "server.app:main"

[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["server"]
"""
_README = """\
---
title: {id}
sdk: docker
app_port: 8000
tags: [openenv]
---

# {id}

{description}

An environment of textenv behind OpenEnv's server. An action is
`{{"text": ...}}`, what the agent says in its turn; an observation has the conversation so far
(`messages`), what was said since (`text`), whose `turn` it is and what is left. `reset` takes a
`seed`, or a `split` and an `index`.

    openenv validate . --level static
    docker build -t {image} . && docker run -p 8000:8000 {image}
"""
