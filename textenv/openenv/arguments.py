"""The arguments of an environment that OpenEnv serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textenv.errors import ConfigError


def text_level(arguments: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the arguments with the text level, which OpenEnv's actions are on.

    Raises:
        ConfigError: They ask for another level.
    """
    own = {"action_level": "text", **(arguments or {})}
    if own["action_level"] != "text":
        raise ConfigError("OpenEnv's actions are texts: leave action_level out.")
    return own
