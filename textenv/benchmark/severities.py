"""How much each finding of an audit matters, read from severities.yaml and a user's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from textenv.benchmark.results import Severity
from textenv.errors import ConfigError, did_you_mean
from textenv.strict_yaml import check_form, load_yaml

Share = Annotated[float, Field(ge=0, le=1)]
_SHIPPED = Path(__file__).with_name("severities.yaml")


@dataclass(frozen=True)
class Severities:
    """The keys of severities.yaml; each is explained there."""

    version: Literal[1]  # of the file
    texts: dict[str, Severity]
    rule: Severity
    above_policy: Severity
    above_policy_by: Share
    dead_warns: Share
    dead_fails: Share
    least_auc: Share
    least_lost: Share
    source: str = "version 1"  # what an audit's record says of them


def load_severities(file: Path | None = None) -> Severities:
    """Reads the shipped severities, in which the keys of a user's file replace their values.

    Raises:
        ConfigError: The file cannot be read, or a key or a value is not one of severities.yaml.
    """
    values = load_yaml(_SHIPPED.read_text("utf-8"))
    if file is not None:
        given = _read(file)
        _check_keys(given, values, "")
        texts = given.pop("texts", {})
        if not isinstance(texts, Mapping):
            raise ConfigError(f"'{file}': texts: give a mapping from names of texts to severities.")
        _check_keys(texts, values["texts"], "texts.")
        values |= {**given, "texts": values["texts"] | dict(texts)}
        values["source"] = f"version 1, changed by {file.name}"
    try:
        return check_form("severities", values, Severities)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"][1:])
        raise ConfigError(f"'{file or _SHIPPED}': {where}: {found['msg']}.") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        given = load_yaml(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"'{file}' cannot be read: {error}") from error
    if not isinstance(given, dict):
        raise ConfigError(f"'{file}' should hold keys such as `rule: warns`.")
    return given


def _check_keys(given: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> None:
    for key in given:
        if key not in known:
            raise ConfigError(
                f"There is no severity '{prefix}{key}'.{did_you_mean(str(key), known)}"
            )
