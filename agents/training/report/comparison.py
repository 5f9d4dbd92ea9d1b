"""Compares runs on the held-out examples that all of them were measured on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

import numpy as np

from agents.training.report.run_record import Row, RunRecord, read_run
from textenv.benchmark.statistics import Estimate, FloatArray, estimate_gain, estimate_mean
from textenv.errors import ConfigError

Agent = Literal["best", "last"]
LETTERS = ascii_uppercase  # of the runs, in order


@dataclass(frozen=True)
class Contestant:
    """One of the runs that are compared."""

    letter: str  # "A" for the first, to which the others are compared
    name: str  # its folder's name, or the path where two folders are named alike
    run: RunRecord
    iteration: int  # after which the agent was that is compared
    reward: Estimate  # mean on the examples that all runs share
    # Each metric's mean minus that of the first run, "reward" among them; empty for the first.
    differences: Mapping[str, Estimate]
    answers: tuple[Row, ...]  # to the shared examples, in order

    @property
    def difference(self) -> Estimate | None:
        """Mean reward minus that of the first run, on the same examples; None for the first."""
        return self.differences.get("reward")

    @property
    def words(self) -> str:
        """What the difference says."""
        if self.difference is None:
            return ""
        low, high = self.difference.ci95
        return "better" if low > 0 else "worse" if high < 0 else "cannot tell"


@dataclass(frozen=True)
class Comparison:
    """Several runs, each beside the first."""

    contestants: tuple[Contestant, ...]
    questions: tuple[Row, ...]  # the shared examples
    means: Mapping[str, float]  # of the first run, by metric
    keys: Mapping[str, tuple[Any, ...]]  # configuration keys that differ, a value a run
    versions: Mapping[str, tuple[Any, ...]]  # versions that differ, likewise

    @property
    def differs_in_seed_alone(self) -> bool:
        """Whether all runs have the same configuration but for their seeds."""
        return set(self.keys) == {"seed"}

    def to_json(self) -> dict[str, Any]:
        """Returns the comparison as plain values, without texts."""
        return {
            "id": self.contestants[0].run.config["id"],
            "examples": len(self.questions),
            "runs": [
                {
                    "letter": one.letter,
                    "name": one.name,
                    "iteration": one.iteration,
                    "reward": one.reward.to_json(),
                    "difference": {k: e.to_json() for k, e in one.differences.items()},
                    "words": one.words,
                }
                for one in self.contestants
            ],
            "keys": {key: list(values) for key, values in self.keys.items()},
            "versions": {key: list(values) for key, values in self.versions.items()},
        }


def compare_runs(folders: Sequence[Path], agent: Agent = "best") -> Comparison:
    """Compares the agents of finished runs with that of the first, example by example.

    The intervals are those of `estimate_gain`: they say what other examples would bring, not what
    another seed would.

    Args:
        folders: Folders of runs of `textenv train`.
        agent: "best" for each run's best agent by validation reward (the last where a run has
            none), or "last".

    Raises:
        ConfigError: There are fewer than two runs, one is named twice or has not ended, or they
            cannot be compared: they have other environments, rewards or examples.
    """
    _check_number(len(folders))
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ConfigError("A run is named twice. Name each run once.")
    return compare_records([read_run(folder) for folder in folders], agent)


def compare_records(runs: Sequence[RunRecord], agent: Agent = "best") -> Comparison:
    """Compares runs that are read already, as `compare_runs` does; raises the same."""
    _check_number(len(runs))
    for run in runs:
        if not run.result or not run.samples:
            raise ConfigError(
                f"The run in '{run.folder}' has not ended, so its agent is not measured on "
                f"held-out examples yet. Go on with it: textenv train --resume {run.folder}."
            )
    for run in runs[1:]:
        check_comparable(runs[0], run)
    n = min(len(run.samples) for run in runs)
    return _compare(runs, name_runs(runs), n, agent)


def _check_number(n: int) -> None:
    if not 2 <= n <= len(LETTERS):
        raise ConfigError(f"Name two runs or more, up to {len(LETTERS)}.")


def check_comparable(first: RunRecord, other: RunRecord) -> None:
    """Checks that two runs were measured with the same environment, reward and examples.

    Raises:
        ConfigError: They were not; it says in what they differ.
    """
    for what, find in _MUST_AGREE.items():
        ours, theirs = find(first), find(other)
        if ours != theirs:
            raise ConfigError(
                f"The runs cannot be compared, since {what} differs: {_text(ours)} in "
                f"'{first.folder}', and {_text(theirs)} in '{other.folder}'. A difference of mean "
                "rewards would say nothing. Compare runs that have it in common."
            )
    for i, (mine, its) in enumerate(zip(first.samples, other.samples, strict=False)):
        for key in ("id", "prompt", "references"):
            if mine[key] != its[key]:
                raise ConfigError(
                    f"The runs cannot be compared, since they were measured on other examples: the "
                    f"{key} of example {i + 1} differs ('{mine['id']}' in '{first.folder}', "
                    f"'{its['id']}' in '{other.folder}'). Train both on the same data."
                )


def _environment(run: RunRecord) -> dict[str, Any]:
    env: Mapping[str, Any] = run.config.get("env") or {}
    return {key: value for key, value in env.items() if key not in ("reward", "dataset")}


_MUST_AGREE: Mapping[str, Callable[[RunRecord], Any]] = {
    "the environment": lambda run: run.config["id"],
    "what 'env' sets of the environment": _environment,
    "the reward": lambda run: run.result["reward"],
    "the split that they were measured on": lambda run: run.config.get("eval_split", "test"),
}


def _compare(runs: Sequence[RunRecord], names: Sequence[str], n: int, agent: Agent) -> Comparison:
    contestants: list[Contestant] = []
    first: dict[str, FloatArray] = {}
    for letter, name, run in zip(LETTERS, names, runs, strict=False):
        stage = "best" if agent == "best" and "best" in run.samples[0] else "after"
        answers = tuple(row[stage] for row in run.samples[:n])
        scores = _scores(answers)
        shared = [key for key in first if key in scores]
        contestants.append(
            Contestant(
                letter,
                name,
                run,
                _iteration(run, stage),
                estimate_mean(scores["reward"]),
                {key: estimate_gain(scores[key], first[key]) for key in shared},
                answers,
            )
        )
        first = first or scores
    questions = tuple(
        {key: row[key] for key in ("id", "prompt", "references")} for row in runs[0].samples[:n]
    )
    return Comparison(
        tuple(contestants),
        questions,
        {key: float(values.mean()) for key, values in first.items()},
        _differing([run.config for run in runs]),
        _differing([run.versions for run in runs]),
    )


def _iteration(run: RunRecord, stage: str) -> int:
    """Returns the iteration after which an agent was that `samples.jsonl` has the answers of."""
    ended = run.result["best"]["iteration"] if stage == "best" else run.result["iterations"]
    return int(ended)


def _scores(answers: Sequence[Row]) -> dict[str, FloatArray]:
    """Returns the rewards and each metric that all answers have, (n,) each."""
    names = [k for k in answers[0]["metrics"] if all(k in a["metrics"] for a in answers)]
    scores = {"reward": np.array([a["reward"] for a in answers], np.float64)}
    return scores | {k: np.array([a["metrics"][k] for a in answers], np.float64) for k in names}


def _differing(mappings: Sequence[Row]) -> dict[str, tuple[Any, ...]]:
    keys = dict.fromkeys(key for mapping in mappings for key in mapping)
    found = {key: tuple(mapping.get(key) for mapping in mappings) for key in keys}
    return {key: values for key, values in found.items() if any(v != values[0] for v in values)}


def name_runs(runs: Sequence[RunRecord]) -> list[str]:
    """Returns the name of each run; its path where two are named alike."""
    names = [run.name for run in runs]
    alike = len(set(names)) < len(names)
    return [str(run.folder) for run in runs] if alike else names


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
