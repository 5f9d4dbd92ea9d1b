"""Files that define a suite: which examples of which environments, played how.

`agents/suite/suites/textenv-1.0.yaml` is one, and says what the keys mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, JsonValue, NonNegativeInt

from agents.models.options import Options
from textenv.errors import ConfigError, UnknownNameError
from textenv.named_paths import named_path
from textenv.registry import environment_row
from textenv.strict_yaml import load_yaml

DEFAULT_SUITE = "textenv-1.0"
# Agents that need no model.
SCRIPTED = {
    "gold": "the ideal answers",
    "lazy": "a rule for each task that understands nothing",
    "random": "tokens drawn uniformly",
}
_SHIPPED = Path(__file__).parent / "suites"
_MOST_EXAMPLES = 100_000
# Arguments that are the suite's own, or the agent's.
_NOT_OF_A_TASK = ("tokenizer", "split", "dataset_seed", "render_mode", "autoreset_mode")

Lines = tuple[str, ...]  # a text for each turn; the last one is said again


class TaskEntry(Options):
    """One environment of a suite's file."""

    id: str
    lazy: Lines | dict[str, Lines] = Field(min_length=1)
    env: dict[str, JsonValue] = Field(default_factory=dict)
    expected: dict[Literal["data", "lazy", "gold"], str | float] = Field(default_factory=dict)


class SuiteDefinition(Options):
    """A suite's file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    description: str
    split: Literal["train", "validation", "test"]
    examples: int = Field(ge=1, le=_MOST_EXAMPLES)
    batch_size: int = Field(ge=1, le=1024)
    dataset_seed: NonNegativeInt = 0
    seed: NonNegativeInt = 0
    tasks: tuple[TaskEntry, ...] = Field(min_length=1)
    hash: str | None = None  # under which it was published


def shipped_suites() -> list[str]:
    """Returns the names of the suites that come with the package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def load_definition(name: str) -> SuiteDefinition:
    """Reads and checks a suite's file.

    Args:
        name: Name of a suite of the package, or path of a YAML file.

    Raises:
        UnknownNameError: There is no suite of that name, or no such environment.
        ConfigError: The file cannot be read, or is not valid.
    """
    path = named_path(name)
    if not name.endswith((".yaml", ".yml")):
        if name not in shipped_suites():
            hint = "Name one of them, or a YAML file."
            known = ", ".join(shipped_suites())
            raise UnknownNameError("suite", name, (), f"Known: {known}. {hint}")
        path = _SHIPPED / f"{name}.yaml"
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"The suite '{path}' cannot be read: {reason}.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"The suite '{path}' is not valid YAML: {error}") from error
    try:
        return _check(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _check(content: Any) -> SuiteDefinition:
    if not isinstance(content, dict) or not isinstance(content.get("tasks"), list):
        raise ConfigError("a suite is a mapping with a list of 'tasks'; see docs/suite.md.")
    entries = []
    for number, raw in enumerate(content["tasks"], start=1):
        if not isinstance(raw, dict):
            raise ConfigError(f"task {number} is no mapping with an 'id' and a 'lazy' rule.")
        entries.append(TaskEntry(**_by_name(raw)))
    definition = SuiteDefinition(**{**_by_name(content), "tasks": tuple(entries)})
    ids = [entry.id for entry in entries]
    for entry in entries:
        environment_row(entry.id)
        if ids.count(entry.id) > 1:
            raise ConfigError(f"'{entry.id}' is listed twice. A suite plays an id once.")
        for key in _NOT_OF_A_TASK:
            if key in entry.env:
                raise ConfigError(f"{entry.id}: '{key}' cannot be set under env in a suite.")
    return definition


def _by_name(content: dict[Any, Any]) -> dict[str, Any]:
    """Names keys by texts: in YAML they may be numbers, which no option is called."""
    return {str(key): value for key, value in content.items()}
