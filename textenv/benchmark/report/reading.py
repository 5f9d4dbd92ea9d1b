"""Finds the records that a report is made of, in a file or a folder."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, TypeVar

from textenv.benchmark.results import Audit, Bench, BestOfN, load_record
from textenv.errors import ConfigError

Record = Bench | Audit | BestOfN
Value = TypeVar("Value")

FILE_NAMES: dict[type[Record], str] = {
    Bench: "bench.json",
    Audit: "audit.json",
    BestOfN: "best_of_n.json",
}
_SIGNS: dict[type[Record], str] = {Bench: "designs", Audit: "probes", BestOfN: "kl_bound"}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_records(path: Path) -> list[Record]:
    """Reads one saved record, or each one in a folder.

    Args:
        path: A file that `save_record` wrote, or a folder with `bench.json`, `audit.json` or
            `best_of_n.json` in it; where there are several of a kind, `audit_2.json` and so on.

    Raises:
        ConfigError: There is none, or it cannot be read.
    """
    if not path.is_dir():
        return [_read_record(path)]
    found = [
        file
        for name in FILE_NAMES.values()
        for file in sorted(path.glob(f"{Path(name).stem}*.json"))
    ]
    if not found:
        raise ConfigError(
            f"'{path}' holds none of {', '.join(FILE_NAMES.values())}. Name the folder that "
            "'textenv rewards bench', 'audit' or 'best-of-n' wrote."
        )
    return [_read_record(file) for file in found]


def without_lone_surrogates(value: Value) -> Value:
    """Replaces halves of surrogate pairs in every text of a record; UTF-8 cannot write them."""
    cleaned: Any = value
    if isinstance(value, str):
        cleaned = _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    elif isinstance(value, dict):
        cleaned = {without_lone_surrogates(k): without_lone_surrogates(v) for k, v in value.items()}
    elif isinstance(value, list | tuple):
        cleaned = type(value)(without_lone_surrogates(item) for item in value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value)]
        cleaned = dataclasses.replace(
            value, **{name: without_lone_surrogates(getattr(value, name)) for name in fields}
        )
    return cleaned  # type: ignore[no-any-return] # of the kind it was given


def _read_record(path: Path) -> Record:
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"'{path}' is not valid JSON: {error}.") from error
    for kind, sign in _SIGNS.items():
        if isinstance(data, dict) and sign in data:
            return load_record(kind, path)
    raise ConfigError(
        f"'{path}' is no record of a bench, an audit or a best-of-n; those are written as "
        f"{', '.join(FILE_NAMES.values())}."
    )
