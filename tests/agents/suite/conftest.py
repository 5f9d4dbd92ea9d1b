"""A suite of two tasks and four examples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.suite.definition import load_definition
from agents.suite.suite import Suite, make_suite

_TINY: dict[str, Any] = {
    "name": "tiny-1.0",
    "description": "Two tasks.",
    "split": "test",
    "examples": 4,
    "batch_size": 2,
    "tasks": [
        {
            "id": "TextQA-v0",
            "env": {"max_new_tokens": 6},
            "lazy": ["{name 1}"],
        },
        {
            "id": "TextDialogueEasy-v0",
            "env": {"max_new_tokens": 24},
            "lazy": ["What food?", "Booked: {prompt}"],
        },
    ],
}


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[..., str]:
    """Writes the file of the tiny suite, with other keys, or other keys of its first task."""

    def write(file: str = "tiny.yaml", task: dict[str, Any] | None = None, **keys: Any) -> str:
        first, *others = _TINY["tasks"]
        content = {**_TINY, "tasks": [{**first, **(task or {})}, *others], **keys}
        path = tmp_path / file
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def tiny(write_suite: Callable[..., str]) -> Suite:
    """The tiny suite."""
    return make_suite(load_definition(write_suite()))
