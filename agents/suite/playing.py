"""Plays a suite, and keeps each part as it is done, so that a run that was stopped goes on.

The folder has `suite.json` (who plays what), `parts/` (answers so far), and at the end
`answers.jsonl`, `result.json`, and `about.json` with versions and seconds. Parts hold fixed
examples, and what is drawn is drawn for each part anew, so the result is the same however often the
run was stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.ppo.model_card import versions
from agents.suite.players import Player, Row
from agents.suite.results import (
    ABOUT_FILE,
    ANSWERS_FILE,
    LONGEST_NAME,
    RESULT_FILE,
    SuiteResult,
    make_result,
    read_result,
)
from agents.suite.suite import Suite, SuiteTask
from agents.training.checked_files import (
    find_damaged_files,
    read_json,
    write_run_file,
    write_run_rows,
)
from textenv.errors import ConfigError
from textenv.output_paths import check_new_folder
from textenv.plain_json import load_json
from textenv.report.numbers import format_duration
from textenv.rollout import Progress, silent
from textenv.safe_text import without_lone_surrogates
from textenv.storage.faults import storage_faults
from textenv.storage.folder_lock import LOCK_FILE, locked
from textenv.storage.whole_files import remove_entry

SUITE_FILE, _PARTS = "suite.json", "parts"


def play_suite(
    suite: Suite, player: Player, folder: Path, name: str = "", progress: Progress = silent
) -> SuiteResult:
    """Plays what a folder lacks of a suite, and writes the result there.

    Args:
        suite: What is played.
        player: Who plays.
        folder: Folder of the result: new, or of this suite and agent.
        name: Name of the agent in the result; by default the player's.
        progress: Called with the number of episodes that are done, and an estimate of the time
            that is left.

    Raises:
        ConfigError: The folder is of something else, or the name is too long.
        FolderInUseError: Another process plays there.
        StorageError: The folder cannot be written.
        TextEnvError: An episode cannot be played or scored.
    """
    name = without_lone_surrogates(name or player.name).strip()[: None if name else LONGEST_NAME]
    if not 0 < len(name) <= LONGEST_NAME:
        raise ConfigError(f"--name has 1 to {LONGEST_NAME} characters, not {len(name)}.")
    header = {
        "name": name,
        "agent": player.describe(),
        "suite_hash": suite.hash,
        "suite": suite.to_json(),
    }
    with locked(folder, "suite"), storage_faults(folder):
        _begin(folder, header)
        if not (folder / RESULT_FILE).is_file():
            parts = _play_parts(suite, player, folder / _PARTS, progress)
            _finish(folder, header, parts, player.device)
        # The result is there: what is left of the parts is of a process that died here.
        remove_entry(folder / _PARTS)
    return read_result(folder)


def _begin(folder: Path, header: Mapping[str, Any]) -> None:
    """Writes who plays what, or checks that it is what the folder was begun with."""
    before = read_json(folder / SUITE_FILE)
    if not before:
        check_new_folder(folder, besides=(LOCK_FILE,))
        write_run_file(folder / SUITE_FILE, json.dumps(header, indent=1))
        return
    for key, what in (("suite_hash", "suite"), ("agent", "agent"), ("name", "name")):
        if before.get(key) != json.loads(json.dumps(header[key])):
            raise ConfigError(
                f"'{folder}' holds results of another {what}: {_text(before.get(key))}, and not "
                f"{_text(header[key])}. Choose another --out, or go on with what it was begun with."
            )


@dataclass
class _Pace:
    """Reports progress, with an estimate of the time that is left.

    The estimate goes by the tokens that episodes may have.
    """

    report: Progress
    left: float  # tokens
    done: float = 0.0  # tokens that were played now
    seconds: float = 0.0  # that these took
    n_done: int = 0  # episodes, those of before included

    def begin(self, task: SuiteTask) -> Progress:
        """Tells of a part that begins; returns what tells of its episodes."""
        note = task.id
        if self.done and self.left:
            left = format_duration(self.seconds / self.done * self.left)
            note += f"  about {left} left"
        self.report(self.n_done, note)
        return lambda n, _: self.report(self.n_done + n, note)

    def end(self, task: SuiteTask, n: int, seconds: float) -> None:
        """Takes in a part that was played."""
        cost = cost_of(task, n)
        self.left, self.done = self.left - cost, self.done + cost
        self.seconds, self.n_done = self.seconds + seconds, self.n_done + n


def cost_of(task: SuiteTask, n: int) -> float:
    """Returns what n episodes of a task may cost, in tokens; one that is read is cheap."""
    tokens = task.settings["max_new_tokens"] + task.settings["max_prompt_tokens"] / 8
    return float(n * task.settings["max_turns"] * tokens)


def _play_parts(
    suite: Suite, player: Player, folder: Path, progress: Progress
) -> dict[str, list[dict[str, Any]]]:
    """Plays the parts that a folder lacks; returns for each id all parts."""
    folder.mkdir(exist_ok=True)
    ranges = player.parts()
    parts = {
        t.id: [_read_part(_path(folder, t, i), len(numbers)) for i, numbers in enumerate(ranges)]
        for t in suite.tasks
    }
    missing = [
        (task, i, numbers)
        for task in suite.tasks
        for i, numbers in enumerate(ranges)
        if not parts[task.id][i]
    ]
    n_missing = sum(len(numbers) for _, _, numbers in missing)
    pace = _Pace(progress, sum(cost_of(task, len(numbers)) for task, _, numbers in missing))
    pace.n_done = suite.examples * len(suite.tasks) - n_missing
    if missing:
        player.prepare()
    for task, i, numbers in missing:
        report, began = pace.begin(task), time.perf_counter()
        rows = player.play(task, numbers, report)
        seconds = time.perf_counter() - began
        part = {"seconds": seconds, "rows": without_lone_surrogates(rows)}
        write_run_file(_path(folder, task, i), json.dumps(part, ensure_ascii=False))
        # As it will be read, so that an interrupted run makes no difference.
        parts[task.id][i] = _read_part(_path(folder, task, i), len(numbers))
        pace.end(task, len(numbers), seconds)
    progress(pace.n_done, "done")
    return parts


def _path(folder: Path, task: SuiteTask, i: int) -> Path:
    return folder / f"{task.id.replace('/', '--')}.{i}.json"


def _read_part(path: Path, n_rows: int) -> dict[str, Any]:
    """Returns a part; an empty one if it is not there, or not whole: it is played again."""
    if not path.is_file() or find_damaged_files(path.parent, [path.name]):
        return {}
    try:
        found = load_json(path.read_bytes())
        rewards = [row["reward"] for row in found["rows"]]
        is_whole = len(rewards) == n_rows and found["seconds"] >= 0
    except (ValueError, KeyError, TypeError):  # where there is no checksum, it may be anything
        return {}
    return found if is_whole else {}


def _finish(
    folder: Path,
    header: Mapping[str, Any],
    parts: Mapping[str, list[dict[str, Any]]],
    device: str,
) -> None:
    """Writes the answers, what was needed for them, and the result, which comes last."""
    seconds = {id: sum(part["seconds"] for part in of_id) for id, of_id in parts.items()}
    rows: dict[str, list[Row]] = {
        id: [row for part in of_id for row in part["rows"]] for id, of_id in parts.items()
    }
    result = make_result(header, rows, sum(seconds.values()), device)
    answers = [{"task": id, **row} for id, of_id in rows.items() for row in of_id]
    write_run_rows(folder / ANSWERS_FILE, answers)
    about = {
        "versions": versions(),
        "device": device,
        "seconds": result.seconds,
        "seconds_by_task": seconds,
    }
    write_run_file(folder / ABOUT_FILE, json.dumps(about, indent=1))
    write_run_file(folder / RESULT_FILE, json.dumps(result.to_json(), indent=1))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
