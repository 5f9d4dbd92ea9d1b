"""Reads the folder of a training run, finished or not, as its page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from agents.training.checked_files import check_run_files, read_json
from agents.training.config import read_config_file
from agents.training.guard_rules import GuardSettings
from agents.training.guards import replay_guards
from agents.training.kept_texts import LOOKS_FILE, ROLLOUTS_FILE
from agents.training.run_folder import ABOUT_FILE, METRICS_FILE, SAMPLES_FILE
from textenv.benchmark.statistics import Estimate, estimate_mean
from textenv.errors import ConfigError
from textenv.report.metric_rows import read_rows
from textenv.run_names import describe_no_run
from textenv.safe_text import without_lone_surrogates
from textenv.secrets import mask_secrets
from textenv.storage.plain_files import RUN_LEVELS, check_plain_files

Row = Mapping[str, Any]


@dataclass(frozen=True)
class RunRecord:
    """What the folder of a run holds; a part that it lacks is empty."""

    folder: Path
    config: Row
    metrics: list[dict[str, Any]]  # a row an iteration, one at least
    result: Row  # of the latest end
    before: Row  # the evaluation before training
    samples: list[dict[str, Any]]  # held-out examples with the answers of the latest end
    rollouts: list[dict[str, Any]]  # sampled episodes by iteration
    looks: list[dict[str, Any]]  # answers to the same validation examples by iteration
    about: Row  # versions, data, warnings

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def iterations(self) -> int:
        """Number of iterations so far."""
        return int(self.metrics[-1]["iteration"])

    @property
    def is_finished(self) -> bool:
        """Whether it ended by itself; a run that was extended has to end again."""
        return bool(self.result) and self.result["iterations"] == self.iterations

    @property
    def has_checkpoint(self) -> bool:
        """Whether it can be resumed."""
        return (self.folder / "agent.json").is_file()

    @property
    def has_best(self) -> bool:
        """Whether it has kept the agent of its best look."""
        return (self.folder / "best").is_dir()

    @property
    def is_best_apart(self) -> bool:
        """Whether the result tells of a best agent that is not the last one."""
        best = self.result.get("best")
        return best is not None and best["iteration"] != self.result["iterations"]

    @cached_property
    def warnings(self) -> list[str]:
        """Every warning, once; those of guards also of a run that was trained without them."""
        told = [*self.about.get("warnings", []), *self.result.get("findings", [])]
        if not self.about.get("guarded"):
            seen = replay_guards(self.metrics, GuardSettings.of(self.config))
            told += [sighting.warning for sighting in seen]
        return list(dict.fromkeys(told))

    @property
    def data(self) -> Mapping[str, Any]:
        """For each split the number of its examples, and their hash."""
        found: Mapping[str, Any] = self.about.get("data", {})
        return found

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions by package."""
        found: Mapping[str, str] = self.about.get("versions") or self.result.get("versions") or {}
        return found

    @property
    def start(self) -> Estimate | None:
        """Mean reward on held-out examples before training."""
        if self.before:
            return _estimate_start(tuple(self.before["rewards"]))
        return to_estimate(self.result["before"]["reward"]) if self.result else None


def describe_episodes(config: Row, done: float) -> str:
    """Says how many episodes a run has played: "640 of 600 episodes, in whole iterations of 64"."""
    total = config.get("total_episodes")
    if not total:
        return f"{done:.0f} episodes"
    is_over = done > total and "n_episodes" in config
    whole = f", in whole iterations of {config['n_episodes']}" if is_over else ""
    return f"{done:.0f} of {total} episodes{whole}"


def read_run(folder: Path) -> RunRecord:
    """Reads the folder of a run of `textenv train`.

    Raises:
        ConfigError: The folder holds no such run, none that has finished an iteration, or a file
            that cannot be read.
        DamagedError: A file is damaged.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise ConfigError(describe_no_run(folder))
    check_plain_files(folder, RUN_LEVELS)
    check_run_files(folder)
    config = read_config_file(path)
    if "id" not in config:
        raise ConfigError(
            f"'{folder}' holds a run of textenv sft. Reports are made of runs of textenv train."
        )
    try:
        run = RunRecord(
            folder,
            mask_secrets(config),
            metrics=read_rows(folder / METRICS_FILE),
            result=mask_secrets(read_json(folder / "result.json")),
            before=read_json(folder / "before.json"),
            samples=read_rows(folder / SAMPLES_FILE),
            rollouts=read_rows(folder / ROLLOUTS_FILE),
            looks=read_rows(folder / LOOKS_FILE),
            about=mask_secrets(read_json(folder / ABOUT_FILE)),
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"A file in '{folder}' cannot be read: {error}.") from error
    if not run.metrics:
        raise ConfigError(
            f"The run in '{folder}' has not finished an iteration yet, so there is nothing to show."
        )
    return without_lone_surrogates(run)


@lru_cache(maxsize=128)
def _estimate_start(rewards: tuple[float, ...]) -> Estimate:
    """Resamples once, however often a run is shown."""
    return estimate_mean(rewards)


def to_estimate(data: Mapping[str, Any]) -> Estimate:
    """Reads what `Estimate.to_json` wrote."""
    low, high = data["ci95"]
    return Estimate(data["mean"], (low, high))
