"""Finds the records that a report is made of, in a file or a folder."""

from __future__ import annotations

from pathlib import Path

from textenv.benchmark.agreement.records import Agreement
from textenv.benchmark.results import (
    Audit,
    Bench,
    BestOfN,
    Design,
    StrategySearch,
    load_record,
)
from textenv.errors import ConfigError
from textenv.plain_json import load_json

Record = Bench | Audit | StrategySearch | BestOfN | Agreement

FILE_NAMES: dict[type[Record], str] = {
    Bench: "bench.json",
    Audit: "audit.json",
    StrategySearch: "search.json",
    BestOfN: "best_of_n.json",
    Agreement: "agreement.json",
}
_SIGNS: dict[type[Record], str] = {
    Bench: "designs",
    Audit: "probes",
    StrategySearch: "strategy",
    BestOfN: "kl_bound",
    Agreement: "left_out",
}


def find_record_files(path: Path) -> list[Path]:
    """Returns a file itself; of a folder, the files that `write_report` saved records in."""
    if not path.is_dir():
        return [path]
    found = [
        file
        for name in FILE_NAMES.values()
        for file in (path / name, *sorted(path.glob(f"{Path(name).stem}_[0-9]*.json")))
        if file.is_file()
    ]
    if not found:
        raise ConfigError(
            f"'{path}' holds none of {', '.join(FILE_NAMES.values())}. Name the folder that "
            "'textenv rewards bench', 'audit', 'best-of-n' or 'agree' wrote."
        )
    return found


def read_record(path: Path) -> Record:
    """Reads a saved record of any kind; a ConfigError says why it cannot be read."""
    try:
        data = load_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"'{path}' is not valid JSON: {error}.") from error
    for kind, sign in _SIGNS.items():
        if isinstance(data, dict) and sign in data:
            return load_record(kind, path)
    raise ConfigError(
        f"'{path}' is no record of a bench, an audit, a best-of-n or an agreement; those are "
        f"written as {', '.join(FILE_NAMES.values())}."
    )


def is_untrained(design: Design) -> bool:
    """Returns True for the policy that every run starts from: its gains are 0 by definition."""
    return design.kind == "control" and design.spec is None
