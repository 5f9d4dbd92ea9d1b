"""Values that are set by texts "key=value", the value as in YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from textenv.errors import ConfigError
from textenv.keys import refuse_secrets
from textenv.strict_yaml import find_missing_blank, load_yaml


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Sets values by texts "key=value"; "env.max_new_tokens=64" sets a key within `env`."""
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"'{override}' is not of the form key=value.")
        _set(values, key.split("."), _parse(override, text))
    refuse_secrets(values)


def check_given_once(env: Mapping[str, Any], **given: Any) -> None:
    """Raises a ConfigError for a value that is also a key of `env`; None is not given."""
    for name, value in given.items():
        if value is not None and name in env:
            raise ConfigError(f"The {name} is given twice: as '{name}' and as 'env.{name}'.")


def check_blanks(value: Any) -> None:
    """Raises a ConfigError for a mapping in which YAML took a key and its value for one key."""
    meant = find_missing_blank(value)
    if meant is not None:
        raise ConfigError(f"YAML wants a blank after the colon: {meant}")


def _parse(override: str, text: str) -> Any:
    try:
        value = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"The value of '{override}' is not valid YAML.") from error
    check_blanks(value)
    # YAML 1.1 reads 1e-4, which has no dot, as text.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _set(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        # A key that is off, such as `lora: null` in the file of a run, holds no keys yet.
        if values.get(key) is None:
            values[key] = {}
        values = values[key]
        if not isinstance(values, dict):
            raise ConfigError(f"'{'.'.join(path)}' reaches into '{key}', which holds no keys.")
    values[path[-1]] = value
