"""A run's folder that is read again and again while it changes, each time only what is new."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from agents.serve.line_tail import LineTail, parse_object, signature, stat_own_file
from agents.serve.metric_columns import MetricColumns
from agents.serve.text_index import TextIndex
from agents.training.about import find_failure
from agents.training.config import read_config_file
from agents.training.kept_texts import LOOKS_FILE, ROLLOUTS_FILE
from agents.training.report.run_record import RunRecord
from agents.training.run_folder import ABOUT_FILE, METRICS_FILE, SAMPLES_FILE
from textenv.errors import ConfigError, DamagedError
from textenv.safe_text import without_lone_surrogates
from textenv.secrets import mask_secrets

State = Literal["training", "finished", "stopped", "failed"]
Stage = Literal["rollout", "look", "sample"]

# Without a sign of life for so long a run counts as stopped: the evaluation at its end, say, writes
# nothing for a while.
_SILENCE_S = 300.0
_SILENT_ITERATIONS = 5
_TEXT_FILES: Mapping[Stage, str] = {
    "rollout": ROLLOUTS_FILE,
    "look": LOOKS_FILE,
    "sample": SAMPLES_FILE,
}


class WatchedRun:
    """What a run's folder holds by now.

    Args:
        id: What requests call it.
        folder: Folder of a run of `textenv train`.
    """

    def __init__(self, id: str, folder: Path) -> None:
        self.id, self.folder = id, folder
        self.name = folder.name  # what readers call it
        self.version = 0  # grows with every change
        self.metrics = MetricColumns()
        self.texts = {stage: TextIndex(folder / name) for stage, name in _TEXT_FILES.items()}
        self._tail = LineTail(folder / METRICS_FILE)
        self._config = _WatchedFile(folder / "config.yaml", _read_config)
        self._result = _WatchedFile(folder / "result.json", _read_object)
        self._about = _WatchedFile(folder / ABOUT_FILE, _read_object)
        self._before = _WatchedFile(folder / "before.json", _read_before)

    def refresh(self) -> None:
        """Reads what changed."""
        appended = self._tail.look()
        if appended.is_anew:
            self.metrics.clear()
        for _, line in appended.lines:
            row = parse_object(line)
            if row is not None and isinstance(row.get("iteration"), int):
                self.metrics.add(row)
        files = (self._config, self._result, self._about, self._before)
        changed = [file.refresh() for file in files]
        self.version += bool(appended.lines or appended.is_anew or any(changed))

    @property
    def is_run(self) -> bool:
        """Whether the folder holds a run of `textenv train`."""
        return isinstance(self.config.get("id"), str)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration; empty if it cannot be read."""
        return self._config.content

    @property
    def result(self) -> dict[str, Any]:
        """The result of the latest end; empty before."""
        return self._result.content

    @property
    def iterations(self) -> int:
        """Number of iterations so far."""
        return int(self.metrics.last("iteration") or 0)

    @property
    def changed_at(self) -> float:
        """When the run last wrote something, in seconds since the epoch."""
        paths = (self._tail.path, self._config.path, self._before.path, self._result.path)
        return max(map(_modified_at, paths))

    @property
    def state(self) -> State:
        """What the run does now, as far as its files tell."""
        if self.result and self.result.get("iterations") == self.iterations:
            return "finished"
        if self._about.content.get("ending"):
            return "failed" if self.error else "stopped"
        lasts = (self.metrics.last(f"time/{key}_s") or 0.0 for key in ("iteration", "validation"))
        limit = max(_SILENCE_S, _SILENT_ITERATIONS * sum(lasts))
        return "training" if time.time() - self.changed_at < limit else "stopped"

    @property
    def error(self) -> str:
        """Why the run failed; empty for one that did not."""
        return find_failure(self._about.content)

    def record(self) -> RunRecord:
        """Returns the run as pages show it.

        Raises:
            ConfigError: It has not finished an iteration yet.
        """
        if not len(self.metrics):
            raise ConfigError(
                f"The run '{self.name}' has not finished an iteration yet, so there is nothing to "
                "show."
            )
        samples, rollouts, looks = (
            self.texts[stage].read_all() for stage in ("sample", "rollout", "look")
        )
        return RunRecord(
            self.folder,
            self.config,
            metrics=self.metrics.rows(),
            result=self.result,
            before=self._before.content,
            samples=samples,
            rollouts=rollouts,
            looks=looks,
            about=self._about.content,
        )


class _WatchedFile:
    """A file that is replaced as a whole, and what it holds; one that is missing holds nothing."""

    def __init__(self, path: Path, read: Callable[[Path], dict[str, Any]]) -> None:
        self.path, self._read = path, read
        self.content: dict[str, Any] = {}
        self._seen: tuple[int, ...] = ()

    def refresh(self) -> bool:
        """Reads the file if it changed; returns whether it did."""
        try:
            seen = signature(stat_own_file(self.path))
        except OSError:
            seen = ()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self.content = without_lone_surrogates(self._read(self.path)) if seen else {}
        except (OSError, ValueError, ConfigError, DamagedError):
            self.content = {}
        return True


def _read_config(path: Path) -> dict[str, Any]:
    return dict(mask_secrets(read_config_file(path)))


def _read_object(path: Path) -> dict[str, Any]:
    return dict(mask_secrets(parse_object(path.read_bytes()) or {}))


def _read_before(path: Path) -> dict[str, Any]:
    """Reads the rewards alone: the answers are not shown."""
    found = parse_object(path.read_bytes()) or {}
    return {"rewards": found["rewards"]} if found.get("rewards") else {}


def _modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
