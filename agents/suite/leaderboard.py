"""Results of one suite beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.suite.definition import load_definition, shipped_suites
from agents.suite.ranking import Place, Ranking, rank
from agents.suite.results import SuiteResult, read_result
from textenv.benchmark.statistics import Estimate, estimate_mean
from textenv.errors import ConfigError
from textenv.safe_text import for_terminal

MOST = 200  # results of one leaderboard


@dataclass(frozen=True)
class Entry:
    """An agent of a leaderboard.

    Attributes:
        name: Its name, with the folder's where two are named alike.
        result: What it earned.
        place: Ranks that it may have.
        score: Mean over tasks of the normalised means.
        rewards: Mean reward of each task, by id.
    """

    name: str
    result: SuiteResult
    place: Place
    score: Estimate
    rewards: Mapping[str, Estimate]

    @property
    def normalised(self) -> dict[str, float]:
        """Normalised mean of each task, by id."""
        means = self.result.normalised.mean(axis=1).tolist()
        return dict(zip(self.result.ids, means, strict=True))

    @property
    def kind(self) -> str:
        """What kind of agent it is, in words."""
        agent = self.result.agent
        details = [agent.get(key) for key in ("precision",) if isinstance(agent.get(key), str)]
        return ", ".join([str(agent["kind"]), *map(str, details)])


@dataclass(frozen=True)
class Leaderboard:
    """Agents by their scores, the best first."""

    suite: Mapping[str, Any]  # content of the suite
    suite_hash: str
    entries: tuple[Entry, ...]
    ranking: Ranking  # of the entries, in their order

    @property
    def ids(self) -> list[str]:
        """Ids of the suite's environments, in order."""
        return self.entries[0].result.ids

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "suite": dict(self.suite),
            "suite_hash": self.suite_hash,
            "agents": [
                {
                    "name": one.name,
                    "rank": [one.place.first, one.place.last],
                    "score": one.score.to_json(),
                    "agent": dict(one.result.agent),
                    "seconds": one.result.seconds,
                    "normalised": one.normalised,
                    "rewards": {id: e.to_json() for id, e in one.rewards.items()},
                    "p_values": self.ranking.p_values[i].tolist(),
                }
                for i, one in enumerate(self.entries)
            ],
        }


def read_leaderboard(folders: Sequence[Path]) -> Leaderboard:
    """Reads results of one suite, and ranks their agents.

    Args:
        folders: Folders of `textenv suite`, each with a result.

    Raises:
        ConfigError: There are none or too many, one is named twice, their suites differ, or theirs
            is not the published one of its name.
        DamagedError: A file is damaged.
    """
    if not 1 <= len(folders) <= MOST:
        raise ConfigError(f"Name one folder of textenv suite or more, up to {MOST}.")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("A folder is named twice. Name each once.")
    results = [read_result(folder) for folder in folders]
    first = results[0]
    for folder, other in zip(folders, results, strict=True):
        if other.suite_hash != first.suite_hash:
            raise ConfigError(
                f"'{folder}' holds a result of {_suite(other)}, and '{folders[0]}' one of "
                f"{_suite(first)}. {_difference(first.suite, other.suite)} Their scores cannot be "
                "compared: leave one of them out, or play its agent again with the other's suite."
            )
    _check_published(first)
    return make_leaderboard(results, [str(folder) for folder in folders])


def _check_published(result: SuiteResult) -> None:
    """Refuses results that bear the name of a suite of the package and are of another one."""
    name = result.suite["name"]
    published = load_definition(name).hash if name in shipped_suites() else None
    if published not in (None, result.suite_hash):
        raise ConfigError(
            f"These are results of a suite that calls itself '{name}' and has the hash "
            f"{result.suite_hash}. That suite has the hash {published}. Play it again with this "
            "textenv, or give a suite of your own another name."
        )


def make_leaderboard(results: Sequence[SuiteResult], places: Sequence[str]) -> Leaderboard:
    """Ranks the agents of results of one suite; `places` tell apart those that are named alike."""
    names = [result.name for result in results]
    # A folder may be called what no line, and no file in UTF-8, can hold.
    places = [" ".join(for_terminal(place).split()) for place in places]
    shown = [
        f"{name} ({place})" if names.count(name) > 1 else name
        for name, place in zip(names, places, strict=True)
    ]
    order = sorted(range(len(results)), key=lambda i: (-results[i].normalised.mean(), shown[i]))
    ranking = rank([results[i].normalised for i in order])
    entries = tuple(
        Entry(
            shown[i],
            results[i],
            place,
            results[i].score(),
            {
                id: estimate_mean(rewards)
                for id, rewards in zip(results[i].ids, results[i].rewards, strict=True)
            },
        )
        for i, place in zip(order, ranking.places, strict=True)
    )
    first = results[0]
    return Leaderboard(first.suite, first.suite_hash, entries, ranking)


def _suite(result: SuiteResult) -> str:
    return f"the suite '{result.suite['name']}' with the hash {result.suite_hash}"


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Says in what two suites differ: a key of theirs, or tasks."""
    tasks = [{task["id"]: task for task in suite["tasks"]} for suite in (one, other)]
    if list(tasks[0]) != list(tasks[1]):
        return "They have other tasks."
    for key in sorted(set(one) | set(other)):
        if key != "tasks" and one.get(key) != other.get(key):
            return f"They differ in '{key}': {one.get(key)!r} and {other.get(key)!r}."
    for id, task in tasks[0].items():
        for key in sorted(set(task) | set(tasks[1][id])):
            if task.get(key) != tasks[1][id].get(key):
                return f"They differ in '{key}' of {id}."
    return ""
