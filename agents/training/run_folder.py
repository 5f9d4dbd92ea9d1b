"""Reads and writes the files of a run's folder that a resumed run needs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from agents.ppo.atomic_replacement import settle
from agents.training.config import TrainConfig, read_config_file
from agents.training.evaluation import Evaluation
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.examples import Episode, Turn
from textenv.named_code import check_code

METRICS_FILE, SAMPLES_FILE = "metrics.jsonl", "samples.jsonl"
TRACKING_FILE = "tracking.json"  # the id under which trackers know the run
# Why a run ended, as `result.json` says it, in words.
STOP_REASONS = {
    "budget": "the budget is spent",
    "converged": "held-out reward stopped rising",
    "max_seconds": "the time is up",
}


@contextmanager
def removed_unless_written(out: Path, name: str) -> Iterator[None]:
    """Removes the folder of a run that fails before it has written a file: it can be repeated."""
    made = not out.exists()
    try:
        yield
    except BaseException:
        written = out / name
        if out.is_dir() and not (written.is_file() and written.stat().st_size):
            for entry in out.iterdir():
                entry.unlink() if entry.is_file() else rmtree(entry)
            if made:
                out.rmdir()
        raise


def check_resumable(folder: Path, total_episodes: int) -> None:
    """Checks that the run in a folder can be resumed with a budget."""
    if saved_iteration(folder) is None:
        raise ConfigError(
            f"There is no checkpoint in '{folder}': the folder holds no run, or the run ended "
            "before its first checkpoint. Start it again; save_every sets how often one is written."
        )
    result = read_result(folder)
    if result is None:
        return
    # A run that converged has played fewer episodes than its budget; a last iteration may be more.
    reached = max(result["episodes"], result.get("total_episodes", 0))
    if result.get("stop_reason") == "max_seconds":
        reached = result["episodes"]
    if total_episodes <= reached:
        raise ConfigError(
            f"The run in '{folder}' is finished. To train on, give it a larger total: textenv "
            f"train --resume {folder} total_episodes=N, with N above {reached}."
        )


def saved_iteration(folder: Path) -> int | None:
    """Returns the iteration after which the agent in a folder was saved; None if there is none."""
    settle(folder)
    path = folder / "agent.json"
    if not path.is_file():
        return None
    return int(json.loads(path.read_text(encoding="utf-8"))["state"]["n_iterations"])


def read_result(folder: Path) -> dict[str, Any] | None:
    """Returns the result of a run's latest end; None if it has not ended yet."""
    return read_json(folder / "result.json") or None


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file of one JSON object; an empty one if there is no such file."""
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def keep_rows(path: Path, n: int) -> list[dict[str, Any]]:
    """Cuts a file of metrics to its first n iterations, and returns their rows.

    Rows after the checkpoint are dropped, since the resumed run writes them again.
    """
    lines = path.read_text(encoding="utf-8").splitlines()[:n] if path.exists() else []
    write_whole(path, "".join(f"{line}\n" for line in lines))
    return [json.loads(line) for line in lines]


def save_evaluation(path: Path, evaluation: Evaluation, config: TrainConfig) -> None:
    """Writes an evaluation on held-out examples for `load_evaluation`, as JSON."""
    data = {
        "config": _what_decides(config),
        "examples": [episode.example.id for episode in evaluation.episodes],
        "responses": [episode.responses for episode in evaluation.episodes],
        "stop_reasons": [episode.stop_reason for episode in evaluation.episodes],
        "rewards": evaluation.rewards.tolist(),
        "metrics": {name: values.tolist() for name, values in evaluation.metrics.items()},
    }
    write_whole(path, json.dumps(data, ensure_ascii=False))


def load_evaluation(path: Path, core: TextCore, config: TrainConfig) -> Evaluation | None:
    """Reads an evaluation of `save_evaluation`; None if it is missing or of another run.

    Its episodes hold the agent's turns, but neither tokens nor the environment's turns.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    dataset = core.dataset(config.eval_split)
    examples = [dataset[i] for i in range(min(config.eval_examples, len(dataset)))]
    if (data["config"], data["examples"]) != (_what_decides(config), [e.id for e in examples]):
        return None
    episodes = tuple(
        Episode(example, tuple(Turn("assistant", text) for text in responses), stop_reason)
        for example, responses, stop_reason in zip(
            examples, data["responses"], data["stop_reasons"], strict=True
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


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that it is either whole or missing, whenever the process ends."""
    writing = path.with_name(f".{path.name}.writing")
    writing.write_text(text, encoding="utf-8")
    os.replace(writing, path)


def _what_decides(config: TrainConfig) -> Any:
    """Returns a configuration without the budget, which may grow."""
    return config.model_dump(mode="json", exclude={"total_episodes"})
