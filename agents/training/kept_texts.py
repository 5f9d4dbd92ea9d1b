"""The texts that a run keeps while it trains.

FOLDER/rollouts.jsonl   some sampled episodes of each iteration, from the lowest reward to the
                        highest
FOLDER/looks.jsonl      greedy answers to the same validation examples at each look, and before the
                        first iteration (0)

Each line has the iteration, what was asked and what was answered, as in `samples.jsonl`, long texts
without their middle. Of a long run every second iteration is kept, then every fourth, and so on, so
that a file has at most `MOST_TIMES` of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.training.checked_files import GrowingFile, read_grown_rows
from agents.training.evaluation import question, spoken
from textenv.chat import shorten
from textenv.episode import TextCore
from textenv.report.metric_rows import read_rows
from textenv.rollout import PlayedEpisode

ROLLOUTS_FILE, LOOKS_FILE = "rollouts.jsonl", "looks.jsonl"
EPISODES = 4  # episodes of an iteration that are kept
PROMPTS = 8  # validation examples whose answers are kept
MOST_TIMES = 256  # iterations that a file has, at most
_HEAD_CHARS, _TAIL_CHARS = 1500, 500  # of one text

Row = Mapping[str, Any]


class TextLog:
    """A file of texts by iteration, bounded in size.

    Args:
        path: File of the texts.
        iteration: Iteration from which the run goes on: lines after it are dropped, since the run
            writes them again.
        first: First iteration that there are texts of.
        every: Iterations between two times at which there are texts.
    """

    def __init__(self, path: Path, iteration: int, *, first: int = 1, every: int = 1) -> None:
        self._first, self._every = first, every
        rows = read_grown_rows(path, iteration)
        self._file = GrowingFile(path)
        self._keep(rows)

    def add(self, iteration: int, rows: Sequence[Row]) -> None:
        """Appends the texts of an iteration, each a question with its answer."""
        number = self._number(iteration)
        step = _step(number)
        if step > _step(number - 1):
            kept = [
                r for r in read_rows(self._file.path) if self._number(r["iteration"]) % step == 0
            ]
            self._keep(kept)
        if number % step:
            return
        self._file.append([_line({"iteration": iteration, **_shortened(row)}) for row in rows])

    def _number(self, iteration: int) -> int:
        return (iteration - self._first) // self._every

    def _keep(self, rows: Sequence[Row]) -> None:
        if rows or self._file.path.exists():
            self._file.replace([_line(row) for row in rows])


def spread_over_rewards(
    episodes: Sequence[PlayedEpisode], core: TextCore, n: int = EPISODES
) -> list[Row]:
    """Returns some episodes of a rollout as rows: the lowest reward, the highest, and between."""
    ranked = sorted((e for e in episodes if e.said is not None), key=lambda e: e.reward)
    n = min(n, len(ranked))
    chosen = [ranked[i * (len(ranked) - 1) // max(n - 1, 1)] for i in range(n)]
    return [
        question(core, episode.conversation.example)
        | spoken(episode.conversation)
        | {
            "reward": episode.reward,
            "metrics": {name: float(value) for name, value in episode.components.items()},
        }
        for episode in chosen
    ]


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False)


def _step(number: int) -> int:
    """Returns the least power of 2 by which `number + 1` times come to at most `MOST_TIMES`."""
    step = 1
    while number // step >= MOST_TIMES:
        step *= 2
    return step


def _shortened(value: Any) -> Any:
    """Leaves out the middle of every long text in plain values."""
    if isinstance(value, str):
        return shorten(value, _HEAD_CHARS, _TAIL_CHARS)
    if isinstance(value, Mapping):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value
