"""The benchmark of decoding plays what it says, in every arm."""

from __future__ import annotations

import json

import pytest

from benchmarks.decoding import main


@pytest.mark.slow
def test_every_arm_plays_the_same_responses(tmp_path):
    out = tmp_path / "figures.json"
    main(rounds=1, n_slots=4, n_waves=2, threads=1, json_path=out)
    arms = json.loads(out.read_text())["arms"]
    assert [arm["name"] for arm in arms] == ["slots", "waves", "waves, resting"]
    # Slots that take their next episode at once need fewer steps than whole waves.
    steps = {arm["name"]: arm["n_steps"] for arm in arms}
    assert 0 < steps["slots"] < steps["waves"] == steps["waves, resting"]
