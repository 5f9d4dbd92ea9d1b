"""Environments for NeMo Gym, through its adapter for OpenEnv: a YAML file and rows, no server code.

    export_nemo_gym("TextDialogue-v0", "nemo", 512)
    gym env start --config nemo/textdialogue_v0.yaml --model-type openai_model

NeMo Gym's `resources_servers/openenv` imports the environment and the action that the YAML names,
makes an environment for each rollout, and lets the model call the tool `step`. It tells the
environment nothing of the row, so each row has a name that nobody can guess, and the model gives it
with every call. Importing this file needs openenv, not NeMo Gym. Tested with NeMo Gym 0.4.0.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import yaml
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field

from agents.integrations.conversation import Conversation, ConversationPool
from agents.integrations.trl import prompt_rows
from textenv.datasets import SPLITS
from textenv.errors import ConfigError, DatasetError
from textenv.keys import refuse_secrets
from textenv.plain_json import load_json
from textenv.storage.whole_files import write_whole

__all__ = ["NemoGymEnvironment", "ToolAction", "ToolObservation", "export_nemo_gym"]

_TASK = "Name of the task, as the first message gives it."
_TEXT = "What to say."
_TOOL = {
    "name": "step",
    "type": "function",
    "description": "Says something to the user, and returns the user's answer as 'text'. Once "
    "'turn' is 'over', the conversation has ended.",
    "parameters": {
        "type": "object",
        "properties": {
            "task": {"type": "string", "description": _TASK},
            "text": {"type": "string", "description": _TEXT},
        },
        "required": ["task", "text"],
        "additionalProperties": False,
    },
    "strict": True,
}
_HOW = (
    "The user hears only what you say by the tool 'step'. Call it with task '{task}' and your "
    "whole answer as text, once for each answer. Stop when its 'turn' is 'over'."
)


class ToolAction(Action):
    """What the model says in its turn, and in which task."""

    task: str = Field(description=_TASK)
    text: str = Field(description=_TEXT)


class ToolObservation(Observation):
    """What the user answered; the reward is 0 until the conversation is over."""

    text: str = Field(default="", description="The user's answer.")
    turn: Literal["agent", "over"] = Field(default="agent", description="Whose turn it is.")


class NemoGymEnvironment(Environment[ToolAction, ToolObservation, State]):
    """One rollout. Its task is the one that the first action names."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        super().__init__()
        self._tasks: _Tasks | None = None
        self._task = ""
        self._conversation: Conversation | None = None
        self._error: Exception | None = None
        self._over = False
        self._n_steps = 0

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        *,
        id: str = "",
        arguments: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> ToolObservation:
        """Waits for an action that names a task.

        Args:
            seed: Not used.
            episode_id: Not used.
            id: Id of the environment; from `reset_kwargs` of the YAML.
            arguments: Further arguments of the environment.

        Raises:
            ConfigError: No environment is named.
        """
        if not id:
            raise ConfigError(
                "Name an environment under reset_kwargs, as in 'id: TextDialogue-v0'."
            )
        self._give_back()
        self._tasks = _tasks(id, arguments or {})
        self._task, self._error, self._over, self._n_steps = "", None, False, 0
        return ToolObservation(done=False, reward=0.0)

    def step(self, action: ToolAction, timeout_s: float | None = None, **_: Any) -> ToolObservation:
        """Says something; the reward of the episode comes with its end.

        Raises:
            ConfigError: There is no such task, or the episode is one of another, or has ended.
            TextEnvError: The episode could not be begun or scored.
        """
        if self._tasks is None:
            raise ConfigError("No episode was begun: reset first.")
        if not self._task:
            self._tasks.check(action.task)
            self._task = action.task
        if action.task != self._task:
            raise ConfigError(f"This conversation is the one of task '{self._task}'.")
        if self._error is not None:
            raise self._error
        if self._over:  # whoever sums the rewards would count it twice
            raise ConfigError("This conversation has ended: say no more.")
        try:
            if self._conversation is None:
                self._conversation = self._tasks.begin(action.task)
            answer = self._conversation.say(action.text)
        except Exception as error:
            # NeMo Gym shows it to the model as the tool's answer, and goes on.
            self._error = error
            raise
        self._n_steps += 1
        if answer is not None:
            return ToolObservation(done=False, reward=0.0, text=answer)
        self._over = True
        return ToolObservation(
            done=True,
            reward=self._conversation.reward,
            turn="over",
            metadata={"reward_components": self._conversation.components},
        )

    @property
    def state(self) -> State:
        """Number of turns so far."""
        return State(step_count=self._n_steps)

    def close(self) -> None:
        """Ends the rollout.

        Raises:
            Exception: The episode could not be begun or scored. NeMo Gym then reports a failed
                rollout, where it would book a reward of 0.
        """
        self._give_back()
        self._tasks = None
        if self._error is not None:
            raise self._error

    def _give_back(self) -> None:
        if self._conversation is not None:
            assert self._tasks is not None
            self._tasks.pool.give_back(self._conversation)
            self._conversation = None


class _Tasks:
    """The examples of an environment by name, and the conversations that play them."""

    def __init__(self, id: str, arguments: Mapping[str, Any]) -> None:
        self.pool = ConversationPool(id, **arguments)
        self._places: dict[str, tuple[str, int]] = {}
        conversation = self.pool.take()
        for split in SPLITS:
            with suppress(DatasetError):  # a data set need not have all of them
                for index in range(conversation.examples(split)):
                    self._places[task_name(id, split, index)] = split, index
        self.pool.give_back(conversation)

    def check(self, name: str) -> None:
        """Refuses a name that no task has."""
        if name not in self._places:
            raise ConfigError(f"There is no task '{name}'. Give the name that the prompt gives.")

    def begin(self, name: str) -> Conversation:
        """Begins the episode of a task."""
        conversation = self.pool.take()
        conversation.start(conversation.example(*self._places[name]))
        return conversation


_served: dict[tuple[str, str], _Tasks] = {}
_served_lock = threading.Lock()


def _tasks(id: str, arguments: Mapping[str, Any]) -> _Tasks:
    key = id, json.dumps(arguments, sort_keys=True)
    with _served_lock:
        if key not in _served:
            _served[key] = _Tasks(id, dict(arguments))
        return _served[key]


def task_name(id: str, split: str, index: int) -> str:
    """Returns the name of an example, which tells a model nothing of the others' names."""
    return hashlib.blake2b(f"{id}/{split}/{index}".encode(), digest_size=6).hexdigest()


def export_nemo_gym(
    id: str, folder: str | Path, n: int, *, split: str = "train", **arguments: Any
) -> Path:
    """Writes the YAML of an environment and the rows of a split, as NeMo Gym takes them.

    Args:
        id: Id of the environment.
        folder: Folder of `<id>.yaml` and `<id>_<split>.jsonl`; made if it is missing.
        n: Number of rows; fewer if the split has fewer different openings.
        split: "train", "validation" or "test".
        arguments: Further arguments of the environment, such as `dataset`; values must be JSON.

    Returns:
        Path of the YAML.

    Raises:
        ConfigError: An argument is not a JSON value, or holds a key; or the folder is a file.
    """
    try:
        # YAML has no form for what JSON writes as well, such as NumPy's floats.
        plain = load_json(json.dumps(arguments))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"Arguments of the environment are saved in YAML, and these cannot be: {error}. Name "
            "the task, reward or dataset instead of giving the object."
        ) from error
    refuse_secrets(arguments)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"'{folder}' is no folder, and cannot be made. Name another.") from error
    rows = [_row(id, **row) for row in prompt_rows(id, n, split=split, **arguments)]
    name = re.sub(r"\W+", "_", id).lower()
    path, data = folder / f"{name}.yaml", folder / f"{name}_{split}.jsonl"
    write_whole(data, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    server = {
        "entrypoint": "app.py",
        "domain": "agent",
        "verified": False,
        "description": f"{id} of textenv, through OpenEnv.",
        "env_class": f"{__name__}.NemoGymEnvironment",
        "action_class": f"{__name__}.ToolAction",
        "is_mcp": False,
        "reset_kwargs": {"id": id, "arguments": plain},
    }
    agent = {
        "entrypoint": "app.py",
        "resources_server": {"type": "resources_servers", "name": f"{name}_resources_server"},
        "model_server": {"type": "responses_api_models", "name": "policy_model"},
    }
    text = yaml.safe_dump(
        {
            f"{name}_resources_server": {"resources_servers": {"openenv": server}},
            f"{name}_simple_agent": {"responses_api_agents": {"simple_agent": agent}},
        },
        sort_keys=False,
        allow_unicode=True,
    )
    write_whole(path, text)
    return path


def _row(id: str, prompt: list[dict[str, str]], index: int, split: str) -> dict[str, Any]:
    name = task_name(id, split, index)
    return {
        "responses_create_params": {
            "input": [{"role": "developer", "content": _HOW.format(task=name)}, *prompt],
            "tools": [_TOOL],
        }
    }
