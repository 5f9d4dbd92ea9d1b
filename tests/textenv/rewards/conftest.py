"""Judges that ask a server on this machine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from textenv.rewards.judge.judge import Judge


@pytest.fixture
def make_judge(server, tmp_path):
    def make(**options: Any) -> Judge:
        defaults = {"base_url": server.url, "cache": tmp_path / "cache", "backoff_s": 0.001}
        return Judge("m", **{**defaults, **options})

    return make


@pytest.fixture
def grade(server):
    """Has the server give these grades, one after the other, or the same to all."""

    def by(*grades: Any) -> None:
        answers = [server.completion(json.dumps({"reason": "so", "score": g})) for g in grades]
        if len(answers) == 1:
            server.answer = lambda body: answers[0]
        else:
            server.in_turn(*answers)

    return by
