"""Reads rows of responses to score: JSON Lines of texts that another program wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from textenv.errors import ConfigError, did_you_mean
from textenv.examples import Episode
from textenv.rewards.score import make_episodes

_KEYS = ("response", "references", "prompt", "metadata", "id")


def read_rows(lines: Iterable[bytes], source: str) -> list[Episode]:
    """Reads one finished episode a row.

    A row is a JSON object with `response`, and with `references` (a text or a list of them),
    `prompt`, `id` and `metadata` (an object) as the reward needs them. Further keys are metadata,
    too. Empty lines are left out.

    Args:
        lines: UTF-8.
        source: What messages call the file.

    Raises:
        ConfigError: There are no rows, or one is not of this form; the message has its line.
    """
    episodes = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            episodes.append(_read_row(line, number, source))
    if not episodes:
        raise ConfigError(f"{source} has no rows. Each is a JSON object with a 'response'.")
    return episodes


def _read_row(line: bytes, number: int, source: str) -> Episode:
    where = f"Line {number} of {source}"
    try:
        row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where} is not UTF-8 text.") from error
    except (ValueError, RecursionError) as error:
        problem = "it is nested too deep, or a number is too long"
        if isinstance(error, json.JSONDecodeError):
            problem = error.msg
        raise ConfigError(
            f"{where} is not JSON ({problem}). Each line is an object such as "
            '{"response": "...", "references": ["..."]}.'
        ) from error
    if not isinstance(row, dict):
        raise ConfigError(f"{where} is no JSON object but {row!r}.")
    if "response" not in row:
        raise ConfigError(f"{where} has no 'response'.{did_you_mean('response', row)}")
    if "references" not in row and "reference" in row:
        raise ConfigError(f"{where} has a 'reference'; call it 'references'.")
    metadata = row.get("metadata", {})
    if not isinstance(metadata, dict):
        raise ConfigError(f"{where}: the metadata is {metadata!r}; it has to be an object.")
    further: dict[str, Any] = {key: value for key, value in row.items() if key not in _KEYS}
    try:
        (episode,) = make_episodes(
            [row["response"]],
            [row.get("references", ())],
            [row.get("prompt", "")],
            [{**further, **metadata}],
            [str(row.get("id", f"line {number}"))],
        )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return episode
