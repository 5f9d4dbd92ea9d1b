"""Reads `agent.json` of a saved agent, which may be damaged or come from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from textenv.errors import ModelError
from textenv.plain_json import load_json


class _AgentFile(BaseModel):
    """What the file holds; see `agents.ppo.checkpoints.SavedAgent`."""

    format: int
    options: dict[str, JsonValue]
    policy_options: dict[str, JsonValue]
    spaces: dict[str, int]
    state: dict[str, JsonValue]
    optimizer_groups: list[dict[str, JsonValue]]


def read_agent_file(path: Path, version: int) -> dict[str, Any]:
    """Reads the file.

    Args:
        path: The file.
        version: Number of the format that is read.

    Raises:
        ModelError: It cannot be read, has another format, or lacks something.
    """
    try:
        data = load_json(path.read_bytes())
    except OSError as error:
        raise ModelError(f"'{path}' cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ModelError(f"'{path}' is damaged: {error}.") from error
    found = data.get("format") if isinstance(data, dict) else None
    if found != version:
        raise ModelError(f"'{path}' has format {found}; this version reads {version}.")
    try:
        return _AgentFile.model_validate(data).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(f"'{path}' is damaged: {where}: {first['msg'].lower()}.") from error
