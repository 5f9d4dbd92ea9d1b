"""The list of environments: reads registry files and registers their rows with Gymnasium.

A registry file is YAML with one key, `environments`, a list of rows such as

    environments:
      - id: MyTask-v0
        task: my_task.py:MyTask          # or my_package.my_task:MyTask
        description: One line about it.
        kwargs: {dataset: rows.jsonl, reward: rougeL}

Paths in it are relative to the file itself. The package's own file is registered by
`import textenv`, and so is every file named in the environment variable TEXTENV_REGISTRY
(several are separated as in PATH).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import yaml
from gymnasium.envs.registration import parse_env_id
from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveInt, ValidationError
from pydantic_core import ErrorDetails

from textenv.errors import ConfigError, RegistryError, UnknownNameError, did_you_mean
from textenv.import_paths import is_file, missing_module
from textenv.keys import refuse_secrets
from textenv.named_paths import named_path
from textenv.strict_yaml import load_yaml
from textenv.tasks.loading import resolve_target

_FILE_NAME = "envs_registry.yaml"
_ENTRY_POINT = "textenv.env:TextEnv"
_VECTOR_ENTRY_POINT = "textenv.vector:TextVectorEnv"
# Plays what a server has, whose address it is given: no row of a file could hold it.
_SERVED_ID = "OpenEnv-v0"

_registered: dict[str, tuple[Path, EnvironmentRow]] = {}


class EnvironmentKwargs(BaseModel):
    """The arguments of an environment that a registry row may set.

    Only those that the row sets are passed on; their defaults are the environment's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    tokenizer: str | None = None
    dataset: JsonValue = None
    split: str | None = None
    reward: JsonValue = None
    action_level: str | None = None
    text_observation: str | None = None
    max_prompt_tokens: PositiveInt | None = None
    max_new_tokens: PositiveInt | None = None
    max_turns: PositiveInt | None = None
    dataset_seed: int | None = Field(default=None, ge=0)
    render_mode: str | None = None
    autoreset_mode: str | None = None


class EnvironmentRow(BaseModel):
    """One environment of a registry file.

    Attributes:
        id: The Gymnasium id, ending in -vN.
        task: "module:Class", or "/absolute/path/file.py:Class".
        description: One line for the list of environments.
        task_kwargs: Arguments of the task's class.
        kwargs: Arguments of the environment.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str
    task: str = Field(pattern=r"^[^:].*:[A-Za-z_]\w*$")
    description: str = Field(min_length=1)
    task_kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    kwargs: EnvironmentKwargs = Field(default_factory=EnvironmentKwargs)

    def make_kwargs(self) -> dict[str, Any]:
        """Returns what Gymnasium passes to the environment's constructor: JSON values only."""
        set_here = self.kwargs.model_dump(exclude_unset=True)
        return {"task": self.task, "task_kwargs": dict(self.task_kwargs), **set_here}


def registry_path() -> Path:
    """Returns the path of the package's own registry file."""
    package = Path(__file__).resolve().parent
    # A wheel carries the file inside the package, a source checkout beside it.
    for folder in (package, package.parent):
        if (folder / _FILE_NAME).is_file():
            return folder / _FILE_NAME
    raise RegistryError(
        f"{_FILE_NAME} is neither in {package} nor one folder up. Install textenv again."
    )


def load_registry(path: str | os.PathLike[str]) -> tuple[EnvironmentRow, ...]:
    """Reads and checks a registry file without looking for its tasks or registering anything.

    Raises:
        RegistryError: The file cannot be read, is not valid YAML, or has a row that is not valid:
            an unknown key, a wrong type, a malformed or repeated id.
    """
    path = named_path(path).absolute()
    rows: list[EnvironmentRow] = []
    for number, raw in enumerate(_read_rows(path), start=1):
        row = _check_row(path, number, raw)
        if any(row.id == other.id for other in rows):
            raise RegistryError(
                f"{path}: '{row.id}' is listed twice (the second time in row {number}). "
                f"Rename one of them, or call it '{_next_version(row.id)}'."
            )
        rows.append(row)
    return tuple(rows)


def register_from_yaml(path: str | os.PathLike[str]) -> list[str]:
    """Registers every row of a registry file with Gymnasium, after importing its tasks.

    Registering the same rows again changes nothing.

    Returns:
        The ids of the file, in order.

    Raises:
        RegistryError: As for `load_registry`; or a task is not a `Task`; or an id is already
            registered as something else. Nothing is registered then.
    """
    path = named_path(path).absolute()
    rows = load_registry(path)
    for row in rows:
        try:
            resolve_target(row.task)
        except RegistryError as error:
            raise RegistryError(f"{path}, {row.id}: {error}") from error
    return _register(path, rows)


def register_all() -> None:
    """Registers the package's own environments, then those of the files in TEXTENV_REGISTRY.

    Tasks are imported when an environment is made, so that this stays quick.

    Raises:
        RegistryError: As for `load_registry`; or a task's module does not exist.
    """
    packaged = registry_path()
    _register(packaged, load_registry(packaged))
    if _SERVED_ID not in gymnasium.registry:
        gymnasium.register(
            id=_SERVED_ID,
            entry_point="textenv.openenv.client:OpenEnvClient",
            vector_entry_point="textenv.openenv.client:OpenEnvVectorClient",
        )
    for name in filter(None, os.environ.get("TEXTENV_REGISTRY", "").split(os.pathsep)):
        path = named_path(name).absolute()
        rows = load_registry(path)
        for row in rows:
            problem = missing_module(row.task.rpartition(":")[0])
            if problem:
                raise RegistryError(f"{path}, {row.id}: {problem}")
        _register(path, rows)


def registered_ids() -> list[str]:
    """Returns the ids that were registered from registry files, in order of registration."""
    return list(_registered)


def environment_row(id: str) -> EnvironmentRow:
    """Returns the registry row of an id.

    Raises:
        UnknownNameError: No registry file lists it.
    """
    if id not in _registered:
        raise UnknownNameError("environment", id, _registered)
    return _registered[id][1]


def _register(path: Path, rows: tuple[EnvironmentRow, ...]) -> list[str]:
    new = []
    for row in rows:
        spec = gymnasium.registry.get(row.id)
        if spec is None:
            new.append(row)
        elif (spec.entry_point, spec.kwargs) != (_ENTRY_POINT, row.make_kwargs()):
            by = _registered[row.id][0] if row.id in _registered else "other code"
            raise RegistryError(
                f"{path}: '{row.id}' is already registered, differently, by {by}. "
                f"Rename it, or call it '{_next_version(row.id)}'."
            )
    for row in new:
        gymnasium.register(
            id=row.id,
            entry_point=_ENTRY_POINT,
            vector_entry_point=_VECTOR_ENTRY_POINT,
            kwargs=row.make_kwargs(),
        )
        _registered[row.id] = (path, row)
    return [row.id for row in rows]


def _read_rows(path: Path) -> list[Any]:
    try:
        text = path.read_text(encoding="utf-8")
        try:
            data = load_yaml(text, fast=True)
        except yaml.YAMLError:
            data = load_yaml(text)  # its errors say more
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RegistryError(f"{path}: the registry file cannot be read: {reason}.") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise RegistryError(f"{path}{line}: not valid YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise RegistryError(f"{path}: not valid YAML: {error}") from error
    shape = "A registry file holds 'environments:' followed by a list of rows."
    if data is None:
        raise RegistryError(f"{path}: the file is empty. {shape}")
    if not isinstance(data, dict):
        raise RegistryError(f"{path}: found a {type(data).__name__} at the top. {shape}")
    for key in data:
        if key != "environments":
            raise RegistryError(
                f"{path}: unknown key '{key}'.{did_you_mean(str(key), ['environments'])} {shape}"
            )
    rows = data["environments"] if data else None
    if not isinstance(rows, list) or not rows:
        raise RegistryError(f"{path}: 'environments' has no rows. {shape}")
    return rows


def _check_row(path: Path, number: int, raw: object) -> EnvironmentRow:
    id = raw.get("id") if isinstance(raw, dict) else None
    where = f"{path}, {id if isinstance(id, str) else f'row {number}'}"
    try:
        refuse_secrets(raw)
        row = EnvironmentRow.model_validate(_resolve_paths(path.parent, raw))
    except ValidationError as error:
        problems = "; ".join(_explain(detail) for detail in error.errors())
        raise RegistryError(f"{where}: {problems}") from error
    except ConfigError as error:
        raise RegistryError(f"{where}: {error}") from error
    problem = _malformed_id(row.id)
    if problem:
        raise RegistryError(f"{where}: {problem}")
    return row


def _explain(detail: ErrorDetails) -> str:
    """Says one of pydantic's findings in our words."""
    *outer, last = [str(part) for part in detail["loc"]] or ["the row"]
    if detail["type"] == "extra_forbidden":
        if not outer and last in EnvironmentKwargs.model_fields:
            return f"'{last}' is an argument of the environment: write it under kwargs."
        known = EnvironmentKwargs.model_fields if outer else EnvironmentRow.model_fields
        return f"unknown key '{last}'{f' in {outer[0]}' if outer else ''}." + did_you_mean(
            last, known
        )
    if detail["type"] == "missing":
        return f"the key '{last}' is missing."
    if detail["type"] == "string_pattern_mismatch":
        return f"{last} is '{detail['input']}'; write 'module:Class' or 'file.py:Class'."
    return f"{'.'.join([*outer, last])}: {detail['msg'].lower()}; found {detail['input']!r}."


def _resolve_paths(folder: Path, raw: object) -> object:
    """Makes paths in a raw row absolute: they are relative to the registry file's folder."""
    if not isinstance(raw, dict):
        return raw
    row = dict(raw)
    task, kwargs = row.get("task"), row.get("kwargs")
    if isinstance(task, str):
        row["task"] = _locate_target(folder, task)
    if not isinstance(kwargs, dict):
        return row
    row["kwargs"] = kwargs = dict(kwargs)
    for key in {"dataset", "tokenizer"} & set(kwargs):
        kwargs[key] = _locate(folder, kwargs[key])
    dataset = kwargs.get("dataset")
    if isinstance(dataset, Mapping) and "path" in dataset:
        kwargs["dataset"] = {**dataset, "path": _locate(folder, dataset["path"])}
    if isinstance(kwargs.get("reward"), str):
        kwargs["reward"] = _locate_target(folder, kwargs["reward"])
    return row


def _locate_target(folder: Path, target: str) -> str:
    module_name, colon, name = target.rpartition(":")
    if is_file(module_name):
        return f"{(folder / module_name).resolve()}{colon}{name}"
    return target


def _locate(folder: Path, name: object) -> object:
    """Makes a path absolute; what does not lie there may be an embedded name or a hub id."""
    if isinstance(name, str) and (path := named_path(folder / name)).exists():
        return str(path.resolve())
    return name


def _malformed_id(id: str) -> str | None:
    try:
        # Gymnasium's pattern allows a colon, but gym.make reads what precedes it as a module.
        well_formed = ":" not in id and parse_env_id(id)[2] is not None
    except (gymnasium.error.Error, ValueError):  # no id, or a version with thousands of digits
        well_formed = False
    if well_formed:
        return None
    stem = re.sub(r"[^\w./-]+", "", re.sub(r"[-_.]?[vV]?\d*$", "", id)).strip("/-.") or "MyTask"
    return f"'{id}' is not an id that Gymnasium takes with a version. Did you mean '{stem}-v0'?"


def _next_version(id: str) -> str:
    stem, _, version = id.rpartition("-v")
    return f"{stem}-v{int(version) + 1}"
