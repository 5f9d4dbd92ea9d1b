"""What an OpenEnv server tells before an episode: its schemas, its tasks and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from textenv.errors import ConfigError
from textenv.http_post import PostError, get_json, post_json
from textenv.openenv.connection import Endpoint, OpenEnvError, failure
from textenv.plain_json import load_json
from textenv.safe_text import without_lone_surrogates

_NOT_THERE = (404, 405, 501)
_MOST_TASKS = 2**40


@dataclass(frozen=True)
class TaskList:
    """Tasks of a server by split.

    Attributes:
        env_name: The server's name for its environment.
        splits: Our split -> the server's name for it.
    """

    env_name: str
    splits: Mapping[str, str]


class ServerFacts:
    """Asks a server over HTTP."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def action_schema(self) -> Mapping[str, Any]:
        """Returns the JSON schema of an action."""
        schemas = self._get("/schema")
        action = schemas.get("action") if isinstance(schemas, dict) else None
        if not isinstance(action, dict):
            raise failure(self._endpoint.url, "answer", "/schema has no schema of an action")
        return action

    def tasks(self) -> TaskList | None:
        """Returns which tasks there are; None where the server has no list of them."""
        names = self._get("/list_environments")
        if not isinstance(names, list) or not names or not isinstance(names[0], str):
            return None
        found = self._get(f"/{quote(names[0], safe='')}/splits")
        if not isinstance(found, list):
            return None
        rows = [row for row in found if isinstance(row, dict) and isinstance(row.get("name"), str)]
        # By the name; by the kind only where there is no such name.
        splits = {str(row.get("type")): row["name"] for row in reversed(rows)}
        return TaskList(names[0], splits | {row["name"]: row["name"] for row in rows})

    def n_tasks(self, tasks: TaskList, split: str) -> int:
        """Returns the number of tasks of one of the server's splits."""
        answer = self._post(tasks, "num_tasks", {"split": split})
        n = answer.get("num_tasks")
        if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= _MOST_TASKS:
            raise failure(self._endpoint.url, "answer", f"split '{split}' has {n!r} tasks")
        return n

    def task(self, tasks: TaskList, split: str, index: int) -> Mapping[str, Any]:
        """Returns what the server tells of one task."""
        found = self._post(tasks, "task", {"split": split, "index": index}).get("task")
        return found if isinstance(found, dict) else {}

    def _get(self, path: str) -> Any:
        """Returns what lies at a path; None if nothing does."""
        try:
            answer = get_json(
                self._address(path), self._endpoint.headers(), self._endpoint.timeout_s
            )
        except PostError as error:
            raise self._failure(error) from error
        if answer.status in _NOT_THERE:
            return None
        return self._json(path, answer.status, answer.body)

    def _post(self, tasks: TaskList, what: str, data: Any) -> Mapping[str, Any]:
        path = f"/{quote(tasks.env_name, safe='')}/{what}"
        try:
            answer = post_json(
                self._address(path), data, self._endpoint.headers(), self._endpoint.timeout_s
            )
        except PostError as error:
            raise self._failure(error) from error
        found = self._json(path, answer.status, answer.body)
        if not isinstance(found, dict):
            raise failure(self._endpoint.url, "answer", f"{path} holds no mapping")
        return found

    def _address(self, path: str) -> str:
        return self._endpoint.url.rstrip("/") + path

    def _json(self, path: str, status: int, body: bytes) -> Any:
        if status != 200:
            raise failure(self._endpoint.url, "refused", f"{path} answers with status {status}")
        try:
            return without_lone_surrogates(load_json(body))
        except ValueError:
            raise failure(self._endpoint.url, "answer", f"{path} is not JSON") from None

    def _failure(self, error: PostError) -> OpenEnvError:
        kind = "connection" if error.kind == "broken" else error.kind
        return failure(self._endpoint.url, kind, str(error))


def read_limit(state: Mapping[str, Any], name: str) -> int | None:
    """Returns one of the limits that a server of ours tells in its state; None if it does not.

    Raises:
        ConfigError: It is not a whole number from 1 up, or too large for any window.
    """
    value = state.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 2**20:
        raise ConfigError(f"The OpenEnv server says {name} = {value!r}. Give {name}=... yourself.")
    return value
