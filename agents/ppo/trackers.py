"""Trackers: TensorBoard, trackio and Weights & Biases as outputs of SB3's logger.

Each gets every number that is logged, the configuration, and tables of a few texts. One that fails
while an agent learns is left out from then on, with one warning: it never changes a run.

Trackio writes to its local database and TensorBoard to files. Weights & Biases uploads only where
its own settings ask for it: somebody has logged in, or a mode is set. Otherwise it works offline.
"""

from __future__ import annotations

import html
import importlib.util
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import KVWriter, Logger, TensorBoardOutputFormat

from textenv.chat import shorten
from textenv.errors import ConfigError
from textenv.rollout import PlayedEpisode
from textenv.secrets import mask_secrets

PROJECT = "textenv"  # of trackers that group runs
TEXTS_EVERY = 10  # iterations between two tables of sampled episodes
_COLUMNS = ("prompt", "response", "reward")
_EPISODES = 4  # of a table of sampled episodes
_HEAD_CHARS, _TAIL_CHARS = 1500, 500  # of a text in a table

# A prompt, the response to it, and its reward.
TextRow = tuple[str, str, float]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackedRun:
    """What trackers are told of a run.

    Attributes:
        config: Its configuration, as JSON.
        name: Its name; None for one that the tracker makes up.
        id: What it is continued by after a stop; None for a run that cannot be continued.
        folder: Its folder, where TensorBoard and Weights & Biases keep their files; None for
            where they do by themselves.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    id: str | None = None
    folder: Path | None = None


class Tracker(KVWriter):
    """An output of SB3's logger that is left out with a warning once it fails."""

    name = ""

    def __init__(self) -> None:
        self.has_failed = False

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Writes what was logged."""
        self.attempt(lambda: self._write(key_values, key_excluded, step))

    def log_texts(self, name: str, rows: Sequence[TextRow], step: int) -> None:
        """Writes a table of texts."""
        self.attempt(lambda: self._log_texts(name, rows, step))

    def close(self) -> None:
        """Ends the run in the tracker."""
        self.attempt(self._close)
        self.has_failed = True  # nothing is written to what is closed

    def attempt(self, action: Callable[[], None]) -> None:
        """Does something with the tracker, unless it has failed before."""
        if self.has_failed:
            return
        try:
            action()
        except Exception as error:
            self.has_failed = True
            _warn(self.name, error)

    def _write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int
    ) -> None:
        numbers = {
            key: float(value)
            for key, value in key_values.items()
            if isinstance(value, int | float | np.number) and self.name not in key_excluded[key]
        }
        self._log(numbers, step)

    def _log(self, values: Mapping[str, Any], step: int) -> None:
        raise NotImplementedError

    def _log_texts(self, name: str, rows: Sequence[TextRow], step: int) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


class TensorBoardTracker(Tracker, TensorBoardOutputFormat):
    """TensorBoard's files, which SB3 has opened."""

    name = "tensorboard"

    def __init__(self, opened: TensorBoardOutputFormat, run: TrackedRun) -> None:
        super().__init__()
        self.writer = opened.writer
        self._is_closed = False
        rows = [(key, _plain(value)) for key, value in run.config.items()]
        self.writer.add_text("config", _markdown_table(("key", "value"), rows), 0)

    def _write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int
    ) -> None:
        TensorBoardOutputFormat.write(self, key_values, key_excluded, step)

    def _log_texts(self, name: str, rows: Sequence[TextRow], step: int) -> None:
        shown = [(prompt, response, f"{reward:.3f}") for prompt, response, reward in rows]
        self.writer.add_text(name, _markdown_table(_COLUMNS, shown), step)

    def _close(self) -> None:
        TensorBoardOutputFormat.close(self)


class TrackioTracker(Tracker):
    """A run in trackio's database; a Space only where trackio's own settings name one."""

    name = "trackio"

    def __init__(self, run: TrackedRun) -> None:
        super().__init__()
        import trackio

        self._trackio = trackio
        self._run = trackio.init(
            PROJECT,
            run.name,
            config=dict(run.config),
            resume="never" if run.id is None else "allow",
            embed=False,
        )

    def _log(self, values: Mapping[str, Any], step: int) -> None:
        self._run.log(dict(values), step=step)

    def _log_texts(self, name: str, rows: Sequence[TextRow], step: int) -> None:
        data = [[_literal(prompt), _literal(response), paid] for prompt, response, paid in rows]
        self._log({name: self._trackio.Table(list(_COLUMNS), data)}, step)

    def _close(self) -> None:
        self._run.finish()


class WandbTracker(Tracker):
    """A run in Weights & Biases, offline unless its own settings ask for more."""

    name = "wandb"

    def __init__(self, run: TrackedRun) -> None:
        super().__init__()
        import wandb

        self._wandb = wandb
        own = wandb.setup().settings
        folder = run.folder if os.environ.get("WANDB_DIR") is None else None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=own.project or PROJECT,
            name=run.name,
            id=run.id,
            resume=None if run.id is None else "allow",
            dir=folder,
            config=dict(run.config),
            mode=None if _may_upload(own) else "offline",
            # Its capture of the terminal would write over the bars of progress.
            settings=wandb.Settings(console="off"),
        )

    def _log(self, values: Mapping[str, Any], step: int) -> None:
        self._run.log(dict(values), step=step)

    def _log_texts(self, name: str, rows: Sequence[TextRow], step: int) -> None:
        data = [list(row) for row in rows]
        self._log({name: self._wandb.Table(columns=list(_COLUMNS), data=data)}, step)

    def _close(self) -> None:
        self._run.finish()


class Trackers:
    """The trackers of a call of `learn`.

    Args:
        trackers: Trackers that are open.
    """

    def __init__(self, trackers: Sequence[Tracker] = ()) -> None:
        self._trackers = trackers

    def log_texts(self, name: str, rows: Iterable[TextRow], step: int) -> None:
        """Writes a table of a prompt, a response and a reward a row to each tracker."""
        shown = [
            (shorten(prompt, _HEAD_CHARS, _TAIL_CHARS), shorten(said, _HEAD_CHARS, _TAIL_CHARS), r)
            for prompt, said, r in rows
        ]
        for tracker in self._trackers:
            if shown:
                tracker.log_texts(name, shown, step)


@contextmanager
def tracking(logger: Logger, names: Sequence[str], run: TrackedRun) -> Iterator[Trackers]:
    """Adds trackers to a logger, which has TensorBoard's output already, and closes them after."""
    before = list(logger.output_formats)
    opened: list[Tracker] = []
    outputs: list[KVWriter] = []
    run = replace(run, config=mask_secrets(run.config))
    for output in before:
        if isinstance(output, TensorBoardOutputFormat):
            _open(opened, "tensorboard", TensorBoardTracker, output, run)
        else:
            outputs.append(output)
    for name, kind in (("trackio", TrackioTracker), ("wandb", WandbTracker)):
        if name in names:
            _open(opened, name, kind, run)
    logger.output_formats[:] = [*outputs, *opened]
    try:
        yield Trackers(opened)
    finally:
        for tracker in opened:
            tracker.close()
        logger.output_formats[:] = before


def check_trackers(names: Sequence[str]) -> None:
    """Checks that the packages of trackers are there.

    Raises:
        ConfigError: One is not.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"log=[{name}] needs one more package: pip install 'textenv[{name}]'."
            )


def text_rows(episodes: Sequence[PlayedEpisode]) -> list[TextRow]:
    """Returns some episodes of a rollout as rows, from the lowest reward to the highest."""
    ranked = sorted((e for e in episodes if e.said is not None), key=lambda e: e.reward)
    n = min(_EPISODES, len(ranked))
    rows = []
    for episode in (ranked[i * (len(ranked) - 1) // max(n - 1, 1)] for i in range(n)):
        said = episode.conversation
        prompt = "\n".join(turn.text for turn in said.turns[: said.n_opening])
        rows.append((prompt, said.response, episode.reward))
    return rows


def _open(opened: list[Tracker], name: str, tracker: Callable[..., Tracker], *given: Any) -> None:
    try:
        opened.append(tracker(*given))
    except Exception as error:
        _warn(name, error)


def _warn(name: str, error: Exception) -> None:
    _log.warning(
        f"{name} failed ({type(error).__name__}: {error}). The training goes on without it; "
        "metrics.jsonl in a run's folder still has every number."
    )


def _may_upload(settings: Any) -> bool:
    """Tells whether the user of Weights & Biases has chosen a mode, or logged in."""
    if settings.mode != "online" or os.environ.get("WANDB_MODE"):
        return True
    from requests.utils import get_netrc_auth

    keys = (settings.api_key, settings.identity_token_file, get_netrc_auth(settings.base_url))
    return any(keys)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _literal(text: str) -> str:
    """Returns a text that Markdown shows as it is."""
    return html.escape(text, quote=False)


def _markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    def cell(text: str) -> str:
        return _literal(text).replace("|", "&#124;").replace("\n", "<br>")

    lines = [line(columns), line(["---"] * len(columns))]
    return "\n".join([*lines, *(line([cell(text) for text in row]) for row in rows)])
