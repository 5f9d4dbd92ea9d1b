"""Judges every causal type, each in a process of its own.

python -m tools.architectures.sweep [TYPE ...] --json results.json
"""

from __future__ import annotations

import json
import logging
import os
import resource
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import transformers
import typer
from transformers import AutoModelForCausalLM

from tools.architectures.judge import judge, make_case
from tools.architectures.page import Record, render_architectures
from tools.architectures.tiny_models import VOCAB_SIZE, causal_types, tiny_config, tiny_model

SECONDS = 120
# The longest observation: as long as the windows of the tiny configurations, and longer.
WINDOWS = {"short": 16, "long": 40}

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architectures.md"
RESULTS = PAGE.with_suffix(".json")


def judge_type(model_type: str) -> Record:
    """Returns the findings of a type by window and part, or why it cannot be built."""
    try:
        model = tiny_model(tiny_config(model_type))
        with torch.no_grad():
            model(input_ids=torch.arange(3, 3 + 40)[None], use_cache=False)
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            AutoModelForCausalLM.from_pretrained(folder)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip().replace("\n", " ")
        return {"not_built": reason[:200]}
    record: Record = {}
    for name, window in WINDOWS.items():
        with tempfile.TemporaryDirectory() as folder:
            findings = judge(make_case(model, Path(folder), VOCAB_SIZE, window))
        record[name] = {
            part: [found.verdict, found.detail.replace(folder, model_type)]
            for part, found in findings.items()
        }
    return record


def sweep(types: Sequence[str]) -> dict[str, Record]:
    """Judges types one after the other; one that crashes its process does not end the sweep."""
    records = {}
    for model_type in types:
        records[model_type] = _in_a_fork(model_type)
        typer.echo(f"{model_type}: {summary(records[model_type])}")
    return records


def summary(record: Record) -> str:
    """Says in a line what was found."""
    if "not_built" in record:
        return f"not built ({record['not_built']})"
    return "; ".join(
        f"{name}: " + ", ".join(f"{part} {found[0]} {found[1]}" for part, found in parts.items())
        for name, parts in record.items()
    )


def _in_a_fork(model_type: str) -> Record:
    """Judges a type in a copy of this process: transformers takes seconds to import."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        try:
            record = judge_type(model_type)
        except BaseException as error:
            record = {"not_built": f"the judge failed: {error!r}"[:200]}
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            json.dump(record, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return (
        json.loads(text)
        if text
        else {"not_built": f"no result within {SECONDS} s of the processor"}
    )


def main(
    types: Annotated[list[str] | None, typer.Argument(help="Types; by default all.")] = None,
    anew: Annotated[bool, typer.Option("--all", help="Judge those again that are known.")] = False,
) -> None:
    """Judges types, keeps what was found in docs/architectures.json, and writes the page."""
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call] # has no types
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call] # has no types
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    records: dict[str, Record] = {}
    if RESULTS.is_file() and not (anew and not types):
        records = json.loads(RESULTS.read_text(encoding="utf-8"))
    for model_type in types or [t for t in causal_types() if t not in records]:
        records |= sweep([model_type])
        # At once, so that nothing is lost.
        RESULTS.write_text(json.dumps(records, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(render_architectures(records), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
