"""Keys: read from the environment by name, and refused in configurations.

A configuration is written down with a run, shown on pages and sent to trackers, so a key or a
password has no place there. `textenv.secrets` masks them everywhere else.
"""

from __future__ import annotations

import os
from typing import Any

from textenv.errors import ConfigError
from textenv.secrets import READABLE, find_secrets, remember

DEFAULT_KEY = "OPENAI_API_KEY"


def read_key(variable: str = DEFAULT_KEY) -> str | None:
    """Returns the key that an environment variable holds, which is masked from now on.

    Raises:
        ConfigError: The variable's name is not that of a key, or it holds something else.
    """
    if not isinstance(variable, str) or not READABLE.fullmatch(variable):
        raise ConfigError(
            "api_key_env names an environment variable, with API_KEY or API_TOKEN in its name, "
            f"such as {DEFAULT_KEY}. Give the name, not the key itself."
        )
    key = os.environ.get(variable, "").strip()
    if not key:
        return None
    remember(key)
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"The environment variable {variable} holds no key: there is a line break in it, or a "
            "letter that keys do not have."
        )
    return key


def refuse_secrets(value: Any) -> None:
    """Refuses a configuration that holds a key or a password.

    Raises:
        ConfigError: It does; the message says where, and not what.
    """
    for path in find_secrets(value):
        where = ".".join(map(str, path)) or "The address"
        raise ConfigError(
            f"{where} holds a key or a password. Configurations are written down with a run, so "
            "leave it out, and set an environment variable to it: a judge reads OPENAI_API_KEY, "
            "or the one that its option api_key_env names."
        )
