"""The reward that an OpenEnv server pays: the sum over an episode's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from textenv.examples import Episode
from textenv.openenv.connection import OpenEnvError
from textenv.openenv.task import RECORD, OpenEnvTask
from textenv.rewards.base import RewardResult


class OpenEnvReward:
    """Pays what the server paid; an episode in which it failed has no score.

    An episode that was not played at the server, such as a probe of an audit, is played there now.

    Args:
        task: The task whose server pays.
    """

    name = "openenv"

    def __init__(self, task: OpenEnvTask) -> None:
        self._task = task

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes."""
        records = [self._record(episode) for episode in episodes]
        reasons = {i: record["failed"] for i, record in enumerate(records) if record["failed"]}
        valid = np.array([i not in reasons for i in range(len(records))], np.bool_)
        parts = [record["components"] for i, record in enumerate(records) if valid[i]]
        # Every score has the same parts: what some episodes lack is left out.
        names = [name for name in parts[0] if all(name in part for part in parts)] if parts else []
        return RewardResult(
            np.array([record["paid"] for record in records], np.float64),
            {
                name: np.array([record["components"].get(name, np.nan) for record in records])
                for name in names
            },
            valid,
            reasons,
        )

    def _record(self, episode: Episode) -> Mapping[str, Any]:
        """Returns what became of an episode; "failed" says why it has no score."""
        record: dict[str, Any] | None = episode.example.metadata.get(RECORD)
        if record is None:
            try:
                record, _ = self._task.replay(episode.example, episode.responses)
            except OpenEnvError as error:
                return {"failed": str(error), "paid": 0.0, "components": {}}
        if not record["failed"] and not record["says_pay"]:
            return {**record, "failed": "The server paid no number in this episode."}
        return record
