"""The text environments of an OpenEnv server as Gymnasium environments.

    env = OpenEnvClient("http://127.0.0.1:8000", action_level="text")
    env = gym.make("textenv:OpenEnv-v0", url="http://127.0.0.1:8000")           # the same by an id
    envs = gym.make_vec("textenv:OpenEnv-v0", num_envs=16, url="http://...")    # for TextPPO

Every slot has a session at the server. It decides what is said and paid; tokens, windows and
budgets are those of this side, as in any environment.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from textenv.env import TextEnv
from textenv.errors import ConfigError
from textenv.http_post import check_url
from textenv.openenv.connection import Connection, Endpoint
from textenv.openenv.episodes import EpisodeSource
from textenv.openenv.reading import find_action_field, opening_of, read_turns
from textenv.openenv.reward import OpenEnvReward
from textenv.openenv.server_facts import ServerFacts, read_limit
from textenv.openenv.task import OpenEnvTask
from textenv.vector import TextVectorEnv

_LIMITS = {"max_turns": 8, "max_new_tokens": 64, "max_prompt_tokens": 256}
_LONGEST_S = 86_400.0
_log = logging.getLogger(__name__)


def client_arguments(
    url: str,
    *,
    api_key_env: str | None = None,
    action_field: str | None = None,
    observation_field: str | None = None,
    timeout_s: float = 60.0,
    connect_timeout_s: float = 10.0,
    reconnect_s: float = 60.0,
    n_seeds: int = 10_000,
    **arguments: Any,
) -> dict[str, Any]:
    """Asks a server what it plays, and returns the arguments of an environment that it plays.

    Args:
        url: Address of the server, such as "http://127.0.0.1:8000".
        api_key_env: Name of the environment variable that holds a key for the server.
        action_field: Field of an action that the agent writes, where several are texts.
        observation_field: Field of an observation that the agent reads, where several are texts.
        timeout_s: Time for an answer, in seconds.
        connect_timeout_s: Time for a connection, in seconds.
        reconnect_s: Time in which a server that has gone may come back, in seconds.
        n_seeds: Number of episodes by seed, where the server has no list of tasks.
        arguments: Those of `TextEnv`. `max_turns`, `max_new_tokens` and `max_prompt_tokens` are by
            default what the server tells, else 8, 64 and 256; `dataset` are by default the
            server's tasks, else seeds; `reward` what it pays.

    Raises:
        ConfigError: The URL is no address, or the environment is not one of texts.
        OpenEnvError: The server cannot be reached, or does not speak OpenEnv's protocol.
    """
    check_url(url, "url", "http://127.0.0.1:8000")
    times = {"timeout_s": timeout_s, "connect_timeout_s": connect_timeout_s}
    for name, value in (times | {"reconnect_s": reconnect_s}).items():
        least = 0.0 if name == "reconnect_s" else 1e-3
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{name} is a number of seconds, not {value!r}.")
        if not least <= value <= _LONGEST_S:
            raise ConfigError(f"{name} must lie in {least:g} .. {_LONGEST_S:g}, not {value!r}.")
    if isinstance(n_seeds, bool) or not isinstance(n_seeds, int) or not 10 <= n_seeds <= 2**31:
        raise ConfigError(f"n_seeds is a whole number from 10 up, not {n_seeds!r}.")
    endpoint = Endpoint(url.rstrip("/"), api_key_env, **times)
    facts = ServerFacts(endpoint)
    field = find_action_field(facts.action_schema(), action_field)
    limits = _limits(_try_episode(endpoint, observation_field), arguments)
    task = OpenEnvTask(endpoint, field, observation_field, reconnect_s)
    return {
        "task": task,
        "dataset": EpisodeSource(facts, n_seeds),
        "reward": OpenEnvReward(task),
        **limits,
        **arguments,
    }


def _limits(state: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, int]:
    return {
        name: read_limit(state, name) or default
        for name, default in _LIMITS.items()
        if given.get(name) is None
    }


def _try_episode(endpoint: Endpoint, observation_field: str | None) -> Mapping[str, Any]:
    """Begins an episode twice with one seed, and returns what the server says of its state."""
    connection = Connection(endpoint)
    try:
        openings = [
            opening_of(read_turns(connection.reset({"seed": 0}).observation, observation_field))
            for _ in range(2)
        ]
        state = connection.state()
    finally:
        connection.close()
    if openings[0] != openings[1]:
        _log.warning(
            "The OpenEnv server at %s does not begin the same episode with the same seed: runs "
            "cannot be repeated, and group_size has to stay 1.",
            endpoint.url,
        )
    return state


class OpenEnvClient(TextEnv):
    """A text environment of an OpenEnv server; spaces, steps and information are `TextEnv`'s.

    Where a server fails in the middle of an episode, the episode ends, and `step` raises a
    `RewardError` that says why: it is never paid 0. `TextPPO` leaves it out, and counts it.

    Args:
        url: Address of the server, such as "http://127.0.0.1:8000".
        arguments: Those of `TextEnv`, and `api_key_env`, `action_field`, `observation_field`,
            `timeout_s`, `connect_timeout_s`, `reconnect_s` and `n_seeds` (docs/openenv.md).

    Raises:
        ConfigError: An argument is not valid, or the environment is not one of texts.
        OpenEnvError: The server cannot be reached; from `reset`, too.
    """

    def __init__(self, url: str = "", **arguments: Any) -> None:
        own = {k: arguments.pop(k) for k in ("render_mode", "autoreset_mode") if k in arguments}
        super().__init__(**own, **client_arguments(url, **arguments))

    def close(self) -> None:
        """Ends the session at the server."""
        _close(self.core.task)


class OpenEnvVectorClient(TextVectorEnv):
    """Text environments of an OpenEnv server that step together, each in a session of its own.

    Args:
        num_envs: The number of slots, and of sessions.
        url: Address of the server.
        arguments: Those of `OpenEnvClient` and of `TextVectorEnv`.

    Raises:
        ConfigError: As for `OpenEnvClient`.
        OpenEnvError: The server cannot be reached; from `reset` and `step`, too.
    """

    def __init__(self, num_envs: int = 1, *, url: str = "", **arguments: Any) -> None:
        own = {k: arguments.pop(k) for k in ("render_mode", "autoreset_mode") if k in arguments}
        super().__init__(num_envs, **own, **client_arguments(url, **arguments))

    def close_extras(self, **_: Any) -> None:
        """Ends the sessions at the server."""
        _close(self.core.task)


def _close(task: object) -> None:
    if isinstance(task, OpenEnvTask):
        task.close()
