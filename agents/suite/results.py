"""The result of an agent on a suite: how it is made of its answers, written and read.

A result comes from whoever sends one, so all of it is checked as it is read, and what can be
computed from its rewards is computed anew.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.suite.suite import LEAST_SPAN, hash_content
from agents.training.checked_files import check_run_files
from textenv.benchmark.statistics import (
    Estimate,
    FloatArray,
    estimate_mean,
    stratified_bootstrap,
)
from textenv.errors import ConfigError
from textenv.plain_json import load_json
from textenv.safe_text import for_terminal, without_lone_surrogates
from textenv.secrets import mask_secrets

RESULT_FILE, ANSWERS_FILE, ABOUT_FILE = "result.json", "answers.jsonl", "about.json"
FORMAT = 1
LONGEST_NAME = 100  # characters
_LARGEST = 64_000_000  # bytes of a file that is read
_MOST_TASKS, _MOST_EXAMPLES = 1_000, 100_000
_LARGEST_REWARD = 1e100  # whose squares can still be summed
_FACTS = ("response_tokens", "ended_by_agent")  # metrics that a result tells beside the reward


@dataclass(frozen=True)
class SuiteResult:
    """What an agent earned.

    Attributes:
        name: Name of the agent.
        agent: What decides its answers, as plain values.
        suite: Content of the suite that was played, as `Suite.to_json` returns it.
        rewards: Rewards of each task's examples, in the order of the suite (n_tasks, n_examples).
        facts: Further means, by task.
        seconds: Seconds that playing took, if they are known.
        device: What computed, if it is known.
    """

    name: str
    agent: Mapping[str, Any]
    suite: Mapping[str, Any]
    rewards: FloatArray
    facts: Mapping[str, Mapping[str, float]]
    seconds: float | None = None
    device: str = ""

    @property
    def suite_hash(self) -> str:
        """Hash of the suite."""
        return hash_content(self.suite)

    @property
    def ids(self) -> list[str]:
        """Ids of the suite's environments, in order."""
        return [task["id"] for task in self.suite["tasks"]]

    @property
    def normalised(self) -> FloatArray:
        """Rewards where each task's lazy rule has 0 and ideal answers 1, (n_tasks, n_examples)."""
        lazy, gold = (np.array([[t[key]] for t in self.suite["tasks"]]) for key in ("lazy", "gold"))
        scaled: FloatArray = (self.rewards - lazy) / (gold - lazy)
        return scaled

    def score(self) -> Estimate:
        """Estimates the score: the mean over tasks of their normalised means."""
        return estimate_score(self.normalised)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, without seconds: the same answers give the same result."""
        tasks = {}
        for id, rewards, scaled in zip(self.ids, self.rewards, self.normalised, strict=True):
            tasks[id] = {
                "reward": estimate_mean(rewards).to_json(),
                "normalised": float(scaled.mean()),
                **self.facts.get(id, {}),
                "rewards": rewards.tolist(),
            }
        return {
            "format": FORMAT,
            "name": self.name,
            "agent": dict(self.agent),
            "suite": dict(self.suite),
            "suite_hash": self.suite_hash,
            "score": self.score().to_json(),
            "tasks": tasks,
        }


def estimate_score(normalised: FloatArray) -> Estimate:
    """Estimates a score with a 95 % interval, which says what other examples would bring.

    The interval is that of a bootstrap that draws each task's examples by themselves. Scores that
    are all equal have none to draw; theirs is that of `estimate_mean`.

    Args:
        normalised: Normalised rewards (n_tasks, n_examples).
    """
    if np.ptp(normalised) < 1e-9:
        return estimate_mean(normalised.ravel())
    return stratified_bootstrap(normalised.T, lambda scores: scores.mean(axis=(1, 2)))


def make_result(
    header: Mapping[str, Any],
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    seconds: float,
    device: str = "",
) -> SuiteResult:
    """Makes a result of answers.

    Args:
        header: What `suite.json` holds: name, agent, suite.
        rows: For each id a row an answer.
        seconds: Seconds that playing took.
        device: What computed.
    """
    ids = [task["id"] for task in header["suite"]["tasks"]]
    facts = {
        id: {
            "prompts_cut": float(sum(row.get("prompt_cut", False) for row in rows[id])),
            **{name: float(np.mean([row["metrics"][name] for row in rows[id]])) for name in _FACTS},
        }
        for id in ids
    }
    rewards = np.array([[row["reward"] for row in rows[id]] for id in ids], np.float64)
    of = header["name"], header["agent"], header["suite"]
    return SuiteResult(*of, rewards, facts, seconds, device)


def read_result(folder: Path) -> SuiteResult:
    """Reads the result in a folder of `textenv suite`.

    Raises:
        ConfigError: There is none, or it is not what such a command writes.
        DamagedError: A file is damaged.
    """
    path = folder / RESULT_FILE
    if not path.is_file():
        begun = (folder / "suite.json").is_file()
        hint = (
            "The suite is not finished there: give the same command again, and it goes on."
            if begun
            else "Name the folder that textenv suite has written."
        )
        raise ConfigError(f"'{folder}' holds no result of a suite. {hint}")
    check_run_files(folder, [RESULT_FILE])
    data = _read(path)
    try:
        result = _checked(data)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ConfigError(
            f"'{path}' is no result of textenv suite: {_words(error)}. Play the suite again, or "
            "leave the folder out."
        ) from error
    return _with_about(result, folder / ABOUT_FILE)


def _read(path: Path) -> Any:
    if path.stat().st_size > _LARGEST:
        raise ConfigError(f"'{path}' is too large to be a result: leave the folder out.")
    try:
        return load_json(path.read_bytes())
    except ValueError as error:
        raise ConfigError(f"'{path}' is not valid JSON: {error}.") from error


def _checked(data: Any) -> SuiteResult:
    """Checks all that a result is used for; what fails is an error of Python's own."""
    data = without_lone_surrogates(mask_secrets(data))
    if data["format"] != FORMAT or data["suite"]["format"] != 1:
        raise ValueError(f"its format is {data['format']!r}, and this textenv reads {FORMAT}")
    name, suite = data["name"], data["suite"]
    if not isinstance(name, str) or not 0 < len(name.strip()) <= LONGEST_NAME:
        raise ValueError(f"its name is no text of 1 to {LONGEST_NAME} characters")
    if hash_content(suite) != data["suite_hash"]:
        raise ValueError("the hash of the suite is not that of what it tells of the suite")
    n, ids = suite["examples"], [task["id"] for task in suite["tasks"]]
    if not isinstance(n, int) or not 0 < n <= _MOST_EXAMPLES or not 0 < len(ids) <= _MOST_TASKS:
        raise ValueError("its suite has no examples, or too many")
    if not isinstance(suite["name"], str) or not isinstance(suite["description"], str):
        raise TypeError("its suite has no name")
    for task in suite["tasks"]:
        if not isinstance(task["id"], str) or not isinstance(task["settings"], dict):
            raise TypeError("a task of its suite has no id or no settings")
        if _number(task["gold"]) - _number(task["lazy"]) < LEAST_SPAN:
            raise ValueError(f"ideal answers to {task['id']} earn hardly more than lazy ones")
    if set(data["tasks"]) != set(ids) or len(set(ids)) != len(ids):
        raise ValueError("its tasks are not those of its suite")
    rewards = [[_number(value) for value in data["tasks"][id]["rewards"]] for id in ids]
    if any(len(row) != n for row in rewards):
        raise ValueError(f"a task does not have {n} rewards")
    facts = {id: {k: _number(data["tasks"][id][k]) for k in ("prompts_cut", *_FACTS)} for id in ids}
    agent = dict(data["agent"])
    if not _is_finite([agent, suite]):
        raise ValueError(
            "what it tells of the agent or the suite holds a number that is not finite"
        )
    if not isinstance(agent.get("kind"), str):
        raise TypeError("it does not say what kind of agent played")
    # A leaderboard is to show names in their own order and on one line.
    name = " ".join(for_terminal(name).split())
    return SuiteResult(name, agent, suite, np.array(rewards, np.float64), facts)


def _with_about(result: SuiteResult, path: Path) -> SuiteResult:
    """Adds how long playing took, and on what, where the folder tells it."""
    try:
        about = without_lone_surrogates(load_json(path.read_bytes()))
        device = str(about.get("device", ""))[:LONGEST_NAME]
        return replace(result, seconds=_number(about["seconds"]), device=device)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return result


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{str(value)[:40]!r} is no finite number")
    if abs(value) > _LARGEST_REWARD:
        raise ValueError(f"{str(value)[:40]} is too large a number")
    return float(value)


def _is_finite(value: Any) -> bool:
    """Tells whether plain values hold only numbers that JSON knows, as pages need them."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    return str(error) or type(error).__name__
