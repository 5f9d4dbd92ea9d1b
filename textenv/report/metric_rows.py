"""The rows of a run's metrics.jsonl: reads them, and tells the interval of a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textenv.benchmark.statistics import Estimate
from textenv.errors import ConfigError
from textenv.plain_json import load_json

REWARD, LOOK = "rollout/reward_mean", "validation/reward"
_Z95 = 1.96


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Reads a file of JSON lines, if there is one; a line that a killed process left is no row."""
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    rows = []
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            rows.append(load_json(line))
        except ValueError as error:
            if i == len(lines) - 1:
                break
            raise ConfigError(
                f"'{path}' cannot be read: line {i + 1} is not valid JSON ({error})."
            ) from error
    return rows


def estimate_metric(config: Mapping[str, Any], row: Mapping[str, Any], key: str) -> Estimate:
    """Returns a number of one iteration with its 95 % interval, of no width where none is known.

    That of the sampled reward is over prompts: episodes of one group are not independent.

    Args:
        config: Configuration of the run.
        row: Row of the iteration.
        key: Key of the number, which the row has.
    """
    value = float(row[key])
    low, high = row.get(f"{key}_low"), row.get(f"{key}_high")
    if low is not None and high is not None:
        return Estimate(value, (low, high))
    if key == REWARD and is_number(row.get("rollout/reward_std")):
        n = max(config.get("n_episodes", 1) / max(config.get("group_size", 1), 1), 1)
        half = _Z95 * row["rollout/reward_std"] / math.sqrt(n)
        return Estimate(value, (value - half, value + half))
    return Estimate(value, (value, value))


def is_number(value: object) -> bool:
    """Tells whether a value of a row is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)
