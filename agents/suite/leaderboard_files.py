"""Writes a leaderboard: the page, Markdown, and a data set for the Hugging Face Hub."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from agents.suite.leaderboard import Leaderboard
from agents.suite.leaderboard_page import render_leaderboard, render_markdown
from textenv.report import REPORT_NAME
from textenv.safe_text import for_csv
from textenv.storage.faults import storage_faults
from textenv.storage.whole_files import write_whole

MARKDOWN, TABLE, DATASET = "leaderboard.md", "leaderboard.csv", "dataset"
_CARD, _AGENTS, _EPISODES = "README.md", "leaderboard.parquet", "episodes.parquet"


def write_leaderboard(board: Leaderboard, folder: Path) -> Path:
    """Writes `report.html`, `leaderboard.md`, `leaderboard.csv`, and `dataset/` with Parquet files.

    Returns:
        Path of the page.

    Raises:
        StorageError: A file cannot be written.
    """
    dataset = folder / DATASET
    with storage_faults(folder):
        dataset.mkdir(parents=True, exist_ok=True)
        _write_parquet(episode_rows(board), dataset / _EPISODES)
        _write_parquet(agent_rows(board), dataset / _AGENTS)
        write_whole(folder / TABLE, _agents_csv(board))
        write_whole(dataset / _CARD, render_card(board))
        write_whole(folder / MARKDOWN, render_markdown(board))
        beside = [MARKDOWN, TABLE, *(f"{DATASET}/{name}" for name in (_CARD, _AGENTS, _EPISODES))]
        write_whole(folder / REPORT_NAME, render_leaderboard(board, beside))
    return folder / REPORT_NAME


def render_card(board: Leaderboard) -> str:
    """Returns the data set's card, with the metadata that the Hub reads."""
    suite = board.suite
    metadata = {
        "pretty_name": f"Leaderboard of {suite['name']}",
        "task_categories": ["text-generation"],
        "tags": ["textenv", "leaderboard", "reinforcement-learning"],
        "configs": [
            {"config_name": "leaderboard", "data_files": _AGENTS, "default": True},
            {"config_name": "episodes", "data_files": _EPISODES},
        ],
    }
    header = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)
    return (
        f"---\n{header}---\n\n{render_markdown(board)}\n"
        f"`{_AGENTS}` has a row an agent, `{_EPISODES}` one for each answer: agent, task, number "
        "of the example, reward, normalised reward.\n"
    )


def agent_rows(board: Leaderboard) -> Iterator[dict[str, Any]]:
    """Yields a row for each agent."""
    for one in board.entries:
        low, high = one.score.ci95
        row: dict[str, Any] = {
            "agent": one.name,
            "kind": one.kind,
            "rank_first": one.place.first,
            "rank_last": one.place.last,
            "score": one.score.mean,
            "score_low": low,
            "score_high": high,
            "seconds": one.result.seconds,
            "suite": board.suite["name"],
            "suite_hash": board.suite_hash,
        }
        for id, mean in one.normalised.items():
            row |= {f"{id} normalised": mean, f"{id} reward": one.rewards[id].mean}
        yield row


def _agents_csv(board: Leaderboard) -> str:
    rows = list(agent_rows(board))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    # Heads hold ids of tasks, which a result from elsewhere chooses as it does its name.
    for cells in (list(rows[0]), *(list(row.values()) for row in rows)):
        writer.writerow([for_csv(cell) for cell in cells])
    return file.getvalue()


def episode_rows(board: Leaderboard) -> Iterator[dict[str, Any]]:
    """Yields a row for each answer."""
    for one in board.entries:
        parts = zip(one.result.ids, one.result.rewards, one.result.normalised, strict=True)
        for id, rewards, normalised in parts:
            pairs = zip(rewards.tolist(), normalised.tolist(), strict=True)
            for i, (reward, scaled) in enumerate(pairs):
                yield {
                    "agent": one.name,
                    "task": id,
                    "example": i,
                    "reward": reward,
                    "normalised": scaled,
                }


def _write_parquet(rows: Iterator[dict[str, Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(list(rows)), path)
