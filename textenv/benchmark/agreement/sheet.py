"""Blinded pairs of outputs for people to judge, and the key that tells who wrote them.

The sheet is a CSV file with `response_a`, `response_b` and an empty column `preferred`, in which
people write a, b or tie. Beside it lies its key, `NAME.key.json`, with the writers and the
references, which `textenv rewards agree` reads on its own.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from textenv.benchmark.results import Bench, load_record
from textenv.errors import ConfigError
from textenv.plain_json import load_json
from textenv.safe_text import for_csv

PREFERRED = "preferred"
START = "start"  # what the model of a run wrote before its training
_COLUMNS = ("id", "prompt", "response_a", "response_b", PREFERRED)


@dataclass
class _Answered:
    """One example with what systems answered."""

    prompt: str
    references: Sequence[str]
    responses: dict[str, str] = field(default_factory=dict)  # by system


def write_sheet(runs: Sequence[Path], out: Path, n_pairs: int = 100, seed: int = 0) -> int:
    """Writes pairs of outputs of different systems, in random order; returns their number.

    Args:
        runs: Folders of `textenv train`, which have a start and a result, or of `textenv rewards
            bench`, which have a policy for each design.
        out: The new CSV file; its key is written beside it.
        n_pairs: Most pairs to write; they are drawn from all that differ.
        seed: Seed of the choice and of the order.

    Raises:
        ConfigError: A folder has no outputs, or none differ.
    """
    answered: dict[str, _Answered] = {}
    for run in runs:
        _read_outputs(run, answered)
    rng = np.random.default_rng(seed)
    pairs = [
        (id, first, second)
        for id, example in answered.items()
        for first, second in combinations(example.responses, 2)
        if example.responses[first] != example.responses[second]
    ]
    if not pairs:
        raise ConfigError("No example has two different outputs to compare.")
    drawn = rng.permutation(len(pairs))[:n_pairs].tolist()
    rows, key = [], {}
    for number, place in enumerate(drawn, 1):
        id, *systems = pairs[place]
        if rng.random() < 0.5:
            systems.reverse()
        example = answered[id]
        texts = [example.responses[system] for system in systems]
        name = f"pair {number}"
        rows.append(
            dict(zip(_COLUMNS, map(for_csv, (name, example.prompt, *texts, "")), strict=True))
        )
        key[name] = {
            "item": id,
            "prompt": example.prompt,
            "references": list(example.references),
            "response_a": texts[0],
            "response_b": texts[1],
            "system_a": systems[0],
            "system_b": systems[1],
        }
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8-sig", newline="") as file:  # Excel reads it as UTF-8 then
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    text = json.dumps(key, indent=1, ensure_ascii=False)
    key_of(out).write_text(text + "\n", encoding="utf-8")
    return len(rows)


def key_of(sheet: Path) -> Path:
    """Returns where the key of a sheet lies."""
    return sheet.with_suffix(".key.json")


def join_key(rows: Sequence[Mapping[str, Any]], sheet: Path) -> list[Mapping[str, Any]]:
    """Adds to a sheet's rows what its key knows, if it has one.

    Raises:
        ConfigError: The key cannot be read, or does not know a row.
    """
    path = key_of(sheet)
    if not path.is_file():
        return list(rows)
    try:
        key = load_json(path.read_bytes())
        return [{**row, **key[str(row.get("id"))]} for row in rows]
    except ValueError as error:
        raise ConfigError(f"'{path}' is no key of a sheet: {error}.") from error
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"'{path}' does not know the row {error} of '{sheet}': the column 'id' tells rows "
            "apart, and has to stay as it was written."
        ) from error


def _read_outputs(run: Path, answered: dict[str, _Answered]) -> None:
    if (run / "bench.json").is_file():
        for sample in load_record(Bench, run / "bench.json").samples:
            example = answered.setdefault(sample.id, _Answered(sample.prompt, sample.references))
            for response in sample.responses:
                example.responses.setdefault(response.design, response.text)
        return
    path = run / "samples.jsonl"
    if not path.is_file():
        raise ConfigError(
            f"'{run}' has no outputs: name the folder of 'textenv train', with its samples.jsonl, "
            "or of 'textenv rewards bench', with its bench.json."
        )
    for line in path.read_text(encoding="utf-8").splitlines():
        row = load_json(line)
        example = answered.setdefault(row["id"], _Answered(row["prompt"], row["references"]))
        example.responses.setdefault(START, row["before"]["response"])
        example.responses[run.resolve().name] = row["after"]["response"]
