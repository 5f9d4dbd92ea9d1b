"""The code that a configuration names, and whose configuration it is.

Configurations may name code: "module:attribute" or "path/to/file.py:attribute". One that the user
names is the user's own. A run's folder may come from elsewhere, so what its `config.yaml` names is
loaded only if this user wrote the very same file, or allows it. What this user wrote is recorded in
`configurations/` of the folder `textenv` below the environment variable XDG_STATE_HOME, or else
below ~/.local/state, by a hash of the file: a folder may be moved or copied, and a file that
anybody changed is not the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from textenv.errors import ConfigError
from textenv.plain_json import load_json
from textenv.storage.plain_files import RUN_LEVELS, check_plain_files
from textenv.strict_yaml import load_yaml

_CODE_NAME = re.compile(
    r"(?:(?P<file>.+\.py)|(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*)):[^\W\d]\w*", re.DOTALL
)
_OURS = re.compile(r"(?:textenv|agents)(?:\.|$)")


def is_code_name(text: str) -> bool:
    """Tells whether a text has the form of an import path."""
    return _CODE_NAME.fullmatch(text) is not None


def find_code(value: Any) -> list[str]:
    """Returns every text in a description that names code outside of textenv and agents.

    A text that only looks like such a name is among them.
    """
    return list(dict.fromkeys(_code_in(value)))


def check_code(file: Path, allow_code: bool) -> None:
    """Checks that the code which a run's configuration names may be loaded.

    Args:
        file: The configuration, as YAML.
        allow_code: Whether the user allows all that it names.

    Raises:
        ConfigError: It names code outside of textenv and agents, and is not the user's own.
        DamagedError: Its folder holds pipes or devices.
    """
    check_plain_files(file.parent, RUN_LEVELS)
    if allow_code:
        return
    try:
        text = file.read_text(encoding="utf-8")
        names = find_code(load_yaml(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return  # nothing of it is used: whoever reads it says what is wrong
    if names and _places(names) != _read_record(text):
        listed = ", ".join(f"'{name}'" for name in names)
        raise ConfigError(
            f"'{file}' names code outside of textenv, and no run of yours on this machine wrote "
            f"this file: {listed}. Nothing of it was loaded. Read that code, and give --allow-code "
            "(in Python allow_code=True) if you trust it."
        )


def record_own(text: str) -> None:
    """Records that this user wrote a configuration, if it names code outside of the packages.

    Where nothing can be recorded, `check_code` asks for the user's word later.

    Args:
        text: Content of the file.
    """
    names = find_code(load_yaml(text, fast=True))
    if not names:
        return
    path = _record_path(text)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        writing = path.with_name(f"{path.name}.{os.getpid()}")
        writing.write_text(json.dumps(_places(names)), encoding="utf-8")
        os.replace(writing, path)


def _code_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        found = _CODE_NAME.fullmatch(value)
        if found and not (found["module"] and _OURS.match(found["module"])):
            yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _code_in(key)
            yield from _code_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _code_in(inner)


def _places(names: list[str]) -> dict[str, str | None]:
    """Returns where the file of each name lies as seen from here; None for a module.

    A relative path in the same text could stand for another file elsewhere.
    """
    found = {name: _CODE_NAME.fullmatch(name) for name in names}
    return {
        name: str(Path(match["file"]).resolve()) if match and match["file"] else None
        for name, match in found.items()
    }


def _read_record(text: str) -> Any:
    try:
        return load_json(_record_path(text).read_bytes())
    except (OSError, ValueError):
        return None


def _record_path(text: str) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    digest = hashlib.sha256(text.encode()).hexdigest()
    # Unlike Path.expanduser, it does not fail where there is no home.
    return Path(os.path.expanduser(base), "textenv", "configurations", f"{digest}.json")
