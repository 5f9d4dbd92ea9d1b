"""Files of JSON lines that somebody else may have written or edited: an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from textenv.errors import ConfigError
from textenv.plain_json import load_json


def read_objects(
    lines: Iterable[bytes], source: str, such_as: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the object of each line, after words that say where it stands; empty lines are none.

    Args:
        lines: Lines of the file.
        source: What messages call the file.
        such_as: A line as it should be, for messages.

    Raises:
        ConfigError: A line is not a JSON object in UTF-8; the message has its number.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"Line {number} of {source}"
            yield where, _read_object(line, where, such_as, is_first=number == 1)


def _read_object(line: bytes, where: str, such_as: str, is_first: bool) -> dict[str, Any]:
    try:
        row = load_json(line.decode("utf-8-sig" if is_first else "utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where} is not UTF-8 text.") from error
    except (ValueError, RecursionError) as error:
        problem = "it is nested too deep, or a number is too long"
        if isinstance(error, json.JSONDecodeError):
            problem = error.msg
        raise ConfigError(
            f"{where} is not JSON ({problem}). Each line is an object such as {such_as}."
        ) from error
    if not isinstance(row, dict):
        raise ConfigError(f"{where} is not a JSON object but {row!r}.")
    return row


def to_line(row: Mapping[str, Any]) -> str:
    r"""Returns an object as a line, with its newline.

    Halves of surrogate pairs, which UTF-8 has no bytes for, stay: they are written as \uXXXX.
    """
    line = json.dumps(row, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:
        line = json.dumps(row)
    return f"{line}\n"
