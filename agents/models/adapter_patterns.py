"""Checks the patterns by which an adapter of peft names its layers: some never end to match."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from textenv.adapter_folders import CONFIG
from textenv.errors import ModelError
from textenv.plain_json import load_json
from textenv.worker_process import WorkerProcess

TIME_LIMIT_S = 20.0
_START_S = 120.0  # on a busy machine
_SIGNS = set("\\*+?{}[]()|^$")  # a name without any of them is no pattern
# Keys of the configuration that hold names or patterns; of a mapping, its keys are.
_KEYS = (
    *("target_modules", "exclude_modules", "modules_to_save", "layers_pattern"),
    *("rank_pattern", "alpha_pattern", "feedforward_modules", "target_parameters"),
)
_worker = WorkerProcess(Path(__file__).with_name("pattern_worker.py"), _START_S)


def check_patterns(folder: Path, names: Iterable[str]) -> None:
    """Checks that an adapter's patterns can be matched with a model's layers in some seconds.

    Args:
        folder: Folder of the adapter.
        names: Names of the model's layers.

    Raises:
        ModelError: Its configuration cannot be read, or they cannot.
    """
    path = folder / CONFIG
    try:
        config = load_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"'{path}' cannot be read: {error}.") from error
    patterns = list(_patterns(config)) if isinstance(config, dict) else []
    if not patterns:
        return
    try:
        answer = _worker.ask(json.dumps([patterns, list(names)]), TIME_LIMIT_S)
    except OSError as error:
        raise ModelError(f"The patterns of '{path}' need a process: {error}.") from error
    if answer is None:
        raise ModelError(
            f"'{path}' names layers by patterns that take longer than {TIME_LIMIT_S:g} s to match. "
            "List the names of the layers in target_modules instead."
        )


def _patterns(config: Mapping[str, Any]) -> Iterator[str]:
    for key in _KEYS:
        value = config.get(key)
        for text in [value] if isinstance(value, str) else value or ():
            if isinstance(text, str) and not _SIGNS.isdisjoint(text):
                yield text
