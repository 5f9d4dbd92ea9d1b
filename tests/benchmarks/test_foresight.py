"""The study of what foresees training: its designs can be made, its figures are right."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from benchmarks.foresight import load_benches
from benchmarks.foresight_table import Foresight, auroc, best_threshold, table
from textenv.benchmark.statistics import Estimate
from textenv.rewards import load_reward


def test_the_study_has_twenty_designs_or_more_on_two_tasks():
    benches = load_benches()
    assert len(benches) == 2
    assert len({config.id for config in benches.values()}) == 2
    assert sum(len(config.designs) for config in benches.values()) >= 20
    for config in benches.values():
        assert (len(config.seeds), config.budget) == (3, 1024)
        # Those with MiniLM need an optional package.
        for spec in config.designs.values():
            if "embedding_cosine" not in spec:
                load_reward(spec)


@pytest.mark.parametrize("n", [5, 20, 200])
def test_the_area_under_the_curve_is_that_of_its_trapezoids(n):
    rng = np.random.default_rng(n)
    says, good = rng.integers(0, 8, n) / 8, (rng.random(n) < 0.4).astype(float)
    good[:2] = (0, 1)
    points = [(0.0, 0.0)]
    for threshold in sorted(set(says.tolist()), reverse=True):
        above = says >= threshold
        points.append((above[good == 0].mean(), above[good > 0].mean()))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    assert auroc(says, good) == pytest.approx(area)


def test_without_both_kinds_there_is_no_area():
    assert np.isnan(auroc(np.arange(3.0), np.ones(3)))


def test_the_threshold_parts_what_can_be_parted():
    says, good = np.array([0.1, 0.2, 0.6, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    assert best_threshold(says, good) == pytest.approx(0.4)
    assert best_threshold(says, np.ones(4)) < 0.1


def row(i, *, good):
    gain = 0.5 + 0.01 * i if good else -0.5 - 0.01 * i
    gold = Estimate(gain, (gain - 0.1, gain + 0.1))
    return Foresight(
        bench="b",
        design=f"d{i}",
        judgement="sound" if good else "hacked",
        own_gain=gold,
        gold_gain=gold,
        passes=good,
        fails=frozenset() if good else frozenset({"lazy"}),
        lazy=0.2 if good else 0.9,
        rule=0.3 - 0.01 * i,
        policy=0.2,
        dead=0.1,
        best_of_n=gain,
        tau=0.2 if i % 2 and good else None,
    )


@pytest.mark.slow
def test_a_step_that_foresees_everything_has_full_marks():
    rows = [row(i, good=i < 6) for i in range(12)]
    lines = table(rows).splitlines()
    designs = [line.split(" | ")[1] for line in lines if line.startswith("| b |")]
    assert designs[0] == "d5"  # the highest gold gain first
    found = {line.split(" | ")[0][2:]: line.split(" | ") for line in lines if "/" in line}
    assert found["audit passes"][3].startswith("1.000")
    assert found["audit passes"][4:6] == ["6/6 [0.54, 1.00]"] * 2
    assert found["best of 16"][2].startswith("1.000")
    assert found["audit, lazy text"][-1].startswith("right of 12/12")
    assert "people (agree)" not in found  # three designs are too few
