"""Reads and writes the files of a run's folder that a resumed run needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.ppo.atomic_replacement import CHECKPOINTS
from agents.ppo.kept_checkpoints import (
    AGENT_FILE,
    check_whole,
    describe_way_out,
    find_checkpoint,
    saved_iteration,
)
from agents.training.checked_files import (
    CHECKSUMS,
    check_grown_files,
    check_run_files,
    read_json,
    write_run_file,
)
from agents.training.config import TrainConfig, read_config_file
from agents.training.evaluation import Evaluation
from agents.training.guards import GUARDS, is_guard_stop, stop_reason_of
from textenv.episode import TextCore
from textenv.errors import ConfigError, DamagedError
from textenv.examples import Episode, Turn
from textenv.named_code import check_code
from textenv.output_paths import check_new_folder
from textenv.report import REPORT_NAME
from textenv.run_names import describe_no_run
from textenv.storage.checksums import MANIFEST
from textenv.storage.faults import storage_faults
from textenv.storage.folder_lock import LOCK_FILE
from textenv.storage.whole_files import remove_entry, write_whole

METRICS_FILE, SAMPLES_FILE = "metrics.jsonl", "samples.jsonl"
CONFIG_FILE, RESULT_FILE, ABOUT_FILE = "config.yaml", "result.json", "about.json"
BEFORE_FILE = "before.json"  # the evaluation before training
TRACKING_FILE = "tracking.json"  # the id under which trackers know the run
# Files that a resumed run reads, besides those that grow and the agent.
_OF_AN_AGENT = ("agent.safetensors", "model", "adapter", CHECKPOINTS)
NEEDED = (CONFIG_FILE, BEFORE_FILE, RESULT_FILE, ABOUT_FILE, TRACKING_FILE)
# Why a run ended, as `result.json` says it, in words.
STOP_REASONS = {
    "budget": "the budget is spent",
    "converged": "held-out reward stopped rising",
    "max_seconds": "the time is up",
    **{stop_reason_of(name): f"the guard '{name}' of stop_on warned" for name in GUARDS},
}


@contextmanager
def removed_unless_written(out: Path, name: str, made: Sequence[Path]) -> Iterator[None]:
    """Removes the folder of a run that fails before it has written a file: it can be repeated.

    Args:
        out: The run's folder, which it has locked.
        name: File that is worth keeping.
        made: The folder and those above it that the run has made, as `missing_folders` told before.
    """
    try:
        yield
    except BaseException:
        written = out / name
        # The error of the run is the one to see.
        with suppress(OSError):
            if out.is_dir() and not (written.is_file() and written.stat().st_size):
                for entry in sorted(out.iterdir(), key=lambda e: e.name == LOCK_FILE):
                    remove_entry(entry)
                for folder in made:
                    folder.rmdir()
        raise


def missing_folders(out: Path) -> list[Path]:
    """Returns a folder and those above it that do not exist, the deepest first."""
    return [folder for folder in (out, *out.parents) if not folder.exists()]


def check_resumable(folder: Path, total_episodes: int, iteration: int | None = None) -> Path | None:
    """Checks that the run in a folder can be resumed with a budget.

    Args:
        folder: The run's folder.
        total_episodes: Budget.
        iteration: Iteration of the checkpoint to go on from; by default the latest.

    Returns:
        Folder of the agent to go on from; None if the run was stopped before it saved one, so that
        it begins anew.

    Raises:
        ConfigError: The folder holds no run, or the run is finished.
        DamagedError: A file is damaged that the run needs.
    """
    if not (folder / CONFIG_FILE).is_file() and saved_iteration(folder) is None:
        raise ConfigError(describe_no_run(folder))
    check_run_files(folder, NEEDED)
    checkpoint = find_checkpoint(folder, iteration)
    saved = saved_iteration(checkpoint)
    if saved is None:
        lost = [name for name in _OF_AN_AGENT if (folder / name).exists()]
        if lost:
            raise DamagedError(
                f"'{folder}' has {', '.join(lost)} of a saved agent, but '{AGENT_FILE}' and "
                f"'{MANIFEST}' are missing. {describe_way_out(folder)}"
            )
        return None
    check_whole(checkpoint)
    check_grown_files(folder, saved)
    result = read_result(folder)
    if result is None or iteration is not None:
        return checkpoint
    # A run that converged has played fewer episodes than its budget; a last iteration may be more.
    reached = max(result["episodes"], result.get("total_episodes", 0))
    reason = result.get("stop_reason", "")
    if reason == "max_seconds" or is_guard_stop(reason):
        reached = result["episodes"]
    if total_episodes <= reached:
        has_page = (folder / REPORT_NAME).is_file()
        page = "" if has_page else f" Its page is missing: 'textenv report {folder}' makes it."
        raise ConfigError(
            f"The run in '{folder}' is finished.{page} To train on, give it a larger total: "
            f"textenv train --resume {folder} total_episodes=N, with N above {reached}."
        )
    return checkpoint


def check_startable(out: Path) -> None:
    """Checks that a new run can begin in a folder.

    Raises:
        ConfigError: It holds something, or cannot be written.
    """
    if (out / CONFIG_FILE).is_file() and out.is_dir():
        saved = any((out / name).exists() for name in (AGENT_FILE, MANIFEST))
        raise ConfigError(
            f"'{out}' already exists and is not empty: it holds a run. textenv train --resume "
            f"{out} "
            + ("continues it" if saved else "begins it anew, since it has saved no agent yet")
            + ". For another run choose another --out, or delete the folder."
        )
    if out.is_dir():
        names = {entry.name for entry in out.iterdir() if not entry.name.endswith(".writing")}
        # What a run leaves that was killed in its first seconds.
        if names <= {LOCK_FILE, CHECKSUMS, ABOUT_FILE}:
            for entry in list(out.iterdir()):
                if entry.name != LOCK_FILE:
                    remove_entry(entry)
    check_new_folder(out, besides=(LOCK_FILE,))


def clear_unsaved(out: Path) -> None:
    """Removes what a run has written that saved no agent, but for its configuration."""
    with storage_faults(out):
        for entry in sorted(out.iterdir()):
            if entry.name not in (CONFIG_FILE, LOCK_FILE):
                remove_entry(entry)


def read_result(folder: Path) -> dict[str, Any] | None:
    """Returns the result of a run's latest end; None if it has not ended yet."""
    return read_json(folder / RESULT_FILE) or None


def save_evaluation(path: Path, evaluation: Evaluation, config: TrainConfig) -> None:
    """Writes an evaluation on held-out examples for `load_evaluation`, as JSON."""
    data = {
        "config": _what_decides(config),
        "examples": [episode.example.id for episode in evaluation.episodes],
        # Of a dialogue, what the other side said, too: samples.jsonl shows it.
        "said": [
            [[turn.role, turn.text] for turn in episode.turns[episode.n_opening :]]
            for episode in evaluation.episodes
        ],
        "stop_reasons": [episode.stop_reason for episode in evaluation.episodes],
        "rewards": evaluation.rewards.tolist(),
        "metrics": {name: values.tolist() for name, values in evaluation.metrics.items()},
    }
    write_run_file(path, json.dumps(data, ensure_ascii=False))


def load_evaluation(path: Path, core: TextCore, config: TrainConfig) -> Evaluation | None:
    """Reads an evaluation of `save_evaluation`; None if it is missing or of another run.

    Its episodes hold what was said after the opening, but no tokens.

    Raises:
        DamagedError: It cannot be read.
    """
    data = read_json(path)
    if not data:
        return None
    dataset = core.dataset(config.eval_split)
    examples = [dataset[i] for i in range(min(config.eval_examples, len(dataset)))]
    if (data["config"], data["examples"]) != (_what_decides(config), [e.id for e in examples]):
        return None
    episodes = tuple(
        Episode(example, tuple(Turn(role, text) for role, text in said), stop_reason)
        for example, said, stop_reason in zip(
            examples, data["said"], data["stop_reasons"], strict=True
        )
    )
    metrics = {name: np.array(values, np.float64) for name, values in data["metrics"].items()}
    return Evaluation(episodes, np.array(data["rewards"], np.float64), metrics)


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a JSON line for each row."""
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@dataclass(frozen=True)
class Setting:
    """Where a run was trained: what an evaluation of its agent takes unless told otherwise."""

    ids: tuple[str, ...]
    dataset: Any
    reward: Any
    env: Mapping[str, Any]


def read_setting(folder: Path, allow_code: bool = False) -> Setting | None:
    """Reads the environment of a run of `train` or `sft`; None if the folder holds no run.

    Args:
        folder: Folder of the run.
        allow_code: Whether the code that it names may be loaded, whoever wrote it.

    Raises:
        ConfigError: The configuration cannot be read, or names code and is not this user's.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        return None
    check_code(path, allow_code)
    config = read_config_file(path)
    ids = config.get("ids") or [config.get("id")]
    return Setting(tuple(ids), config.get("dataset"), config.get("reward"), config.get("env") or {})


def _what_decides(config: TrainConfig) -> Any:
    """Returns a configuration without the budget, which may grow."""
    return config.model_dump(mode="json", exclude={"total_episodes"})
