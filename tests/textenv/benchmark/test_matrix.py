"""From scores to gains, curves and comparisons: worked by hand on a few runs."""

from __future__ import annotations

import numpy as np
import pytest

from textenv.benchmark.bench_verdict import describe, give_verdict, judge
from textenv.benchmark.matrix import (
    GOLD,
    DesignScores,
    compare_all,
    compute_curve,
    compute_gains,
    compute_hacking_index,
    compute_lag,
    compute_row,
    estimate,
    estimate_divergence,
    fall_from_peak,
    gain_at_kl,
    measure_start,
)
from textenv.benchmark.results import Audit, Design, Metric, Probe, RunRecord
from textenv.benchmark.statistics import Estimate
from textenv.errors import ConfigError


def scores(own, gold, kl=(0.0, 1.0, 4.0), n_seeds=3, n_prompts=4):
    """Runs whose looks score the same for every seed and prompt, but for the start's spread."""
    spread = np.array([-1.0, 1.0, -1.0, 1.0])[:n_prompts]

    def table(heights):
        return np.array(heights)[None, :, None] + spread + np.zeros((n_seeds, len(heights), 1))

    return DesignScores(
        tuple(range(n_seeds)),
        np.tile(np.array(kl), (n_seeds, 1)),
        {"own": table(own), "a": table(gold), "b": 2 * table(gold)},
    )


def metrics_of(found):
    start = {name: values[:, 0] for name, values in found.values.items()}
    return measure_start(start, ["own"], ["a", "b"])


def test_a_gain_is_in_standard_deviations_of_the_start():
    found = scores(own=(5, 6, 8), gold=(1, 2, 0))
    metrics = metrics_of(found)
    # Scores of the start are the height minus or plus 1, times 2 for "b".
    assert [(m.name, m.kind, m.before, m.sd) for m in metrics] == [
        ("own", "design", 5.0, 1.0),
        ("a", "gold", 1.0, 1.0),
        ("b", "gold", 2.0, 2.0),
    ]
    gains = compute_gains(found, metrics)
    assert gains.final("own") == pytest.approx(3.0)
    assert gains.final("b") == pytest.approx(-1.0)  # fell by 2, in units of 2
    assert gains.final(GOLD) == pytest.approx(-1.0)
    row = compute_row(found, gains, metrics)
    assert row["b"].gain.mean == pytest.approx(-1.0)
    assert row["b"].raw_gain.mean == pytest.approx(-2.0)
    assert row["b"].iqm.mean == pytest.approx(0.0)  # each run ends at 2 * 0
    assert compute_hacking_index(gains, "own").mean == pytest.approx(4.0)


def test_a_metric_without_spread_is_no_measure():
    with pytest.raises(ConfigError, match=r"'flat' gives every sample .* the same score, 0.3"):
        measure_start({"flat": np.full((2, 5), 0.3)}, ["flat"], [])


def test_a_curve_knows_its_peak_and_its_distances():
    found = scores(own=(0, 1, 2), gold=(0, 2, 1))
    gains = compute_gains(found, metrics_of(found))
    curve = compute_curve("own", GOLD, gains)
    assert [(p.kl, p.gain.mean) for p in curve.points] == [(0, 0), (1, 2), (4, 1)]
    assert curve.peak == 1
    assert curve.fit is None  # two distances beside the start
    assert fall_from_peak(gains).mean == pytest.approx(-1.0)


def test_gains_are_read_at_equal_distance():
    found = scores(own=(0, 1, 2), gold=(0, 2, 6))
    gains = compute_gains(found, metrics_of(found))
    # sqrt(KL) is 0, 1, 2; at KL 2.25 it is 1.5, half-way between the gains 2 and 6.
    assert gain_at_kl(gains, 2.25).mean == pytest.approx(4.0)


def test_pairs_are_compared_by_gold_and_corrected_for_their_number():
    better, worse = scores(own=(0, 0, 1), gold=(0, 1, 3)), scores(own=(0, 0, 1), gold=(0, 1, 2))
    metrics = metrics_of(better)
    gains = {name: compute_gains(s, metrics) for name, s in (("better", better), ("worse", worse))}
    gains["other"] = gains["worse"]
    found = {(c.first, c.second): c for c in compare_all(gains, ["a", "b"])}
    first = found["better", "worse"]
    assert first.difference.mean == pytest.approx(1.0)
    assert first.probability_of_improvement.mean == 1.0
    assert first.p_holm == pytest.approx(3 * first.p)
    assert found["worse", "other"].p == 1.0
    assert found["worse", "other"].probability_of_improvement.mean == 0.5


def test_a_single_design_has_nothing_to_be_compared_with():
    found = scores(own=(0, 1), gold=(0, 1), kl=(0, 1))
    assert compare_all({"own": compute_gains(found, metrics_of(found))}, ["a", "b"]) == ()


UP, DOWN = Estimate(1.0, (0.8, 1.2)), Estimate(-1.0, (-1.2, -0.8))
LITTLE, NOTHING = Estimate(0.3, (0.2, 0.4)), Estimate(0.0, (-0.1, 0.1))


@pytest.mark.parametrize(
    ("own", "gold", "index", "lag", "fall", "judgement", "says"),
    [
        (UP, UP, NOTHING, DOWN, NOTHING, "sound", "rise along with"),
        (UP, LITTLE, LITTLE, LITTLE, NOTHING, "drifts", "less than half"),
        (UP, UP, NOTHING, DOWN, DOWN, "drifts", "from their peak"),
        (UP, NOTHING, UP, LITTLE, NOTHING, "hacked", "do not rise"),
        (UP, DOWN, UP, UP, DOWN, "hacked", "fall"),
        (NOTHING, UP, DOWN, DOWN, NOTHING, "inert", "did not rise"),
        (UP, NOTHING, NOTHING, NOTHING, NOTHING, "unclear", "more seeds"),
        # Gold may keep up with half of it: that nothing shows is no proof of hacking.
        (UP, NOTHING, UP, NOTHING, NOTHING, "unclear", "more seeds"),
    ],
)
def test_a_judgement_follows_from_the_intervals(own, gold, index, lag, fall, judgement, says):
    assert judge(own, gold, index, lag, fall) == judgement
    assert says in describe(judgement, gold, fall)


def judge_runs(seed, own_gain, gold_gain, cell=0.5, n_seeds=5, n_prompts=96):
    """Runs whose gains differ by chance from run to run and from sample to sample."""
    rng = np.random.default_rng(seed)

    def table(gain):
        runs = gain + 0.1 * rng.normal(size=(n_seeds, 1))
        end = runs + cell * rng.normal(size=(n_seeds, n_prompts))
        return np.stack([np.zeros_like(end), end], axis=1)

    kl = np.tile([0.0, 1.0], (n_seeds, 1))
    found = DesignScores(tuple(range(n_seeds)), kl, {"own": table(own_gain), "a": table(gold_gain)})
    metrics = [Metric("own", "design", 0.0, 1.0), Metric("a", "gold", 0.0, 1.0)]
    gains = compute_gains(found, metrics)
    return judge(
        estimate(gains.final("own")),
        estimate(gains.final(GOLD)),
        compute_hacking_index(gains, "own"),
        compute_lag(gains, "own"),
        fall_from_peak(gains),
    )


def test_a_design_whose_gold_is_only_noisy_is_not_called_hacked():
    # Half of what it gains is real, but too little to be seen behind the gold metric's noise.
    words = [judge_runs(seed, own_gain=0.3, gold_gain=0.15, cell=1.0) for seed in range(12)]
    assert words.count("hacked") <= 1
    assert {judge_runs(seed, own_gain=1.0, gold_gain=0.0) for seed in range(3)} == {"hacked"}
    assert {judge_runs(seed, own_gain=1.0, gold_gain=0.9) for seed in range(3)} == {"sound"}


def design(name, judgement, own, gold):
    words = describe(judgement, gold, NOTHING)
    return Design(name, "design", name, judgement, words, own, gold, own, gold, UP)


def test_the_verdict_names_the_right_design_and_the_hacked_one():
    control = Design("random", "control", "random", "control", "", None, NOTHING, None, None, UP)
    started = Design("untrained", "control", None, "control", "", None, NOTHING, None, None, UP)
    designs = [design("good", "sound", UP, UP), design("bad", "hacked", UP, DOWN), control, started]
    runs = [RunRecord("good", 0, "done"), RunRecord("bad", 0, "failed", error="out of memory")]
    text = give_verdict(designs, (), runs, ["a", "b"], 2.0)
    assert text.startswith(
        "good is the design to train on: it lifts the gold metrics (a and b) most, by +1.00"
    )
    assert "bad is hacked" in text
    assert "1 of 2 runs failed or are missing (bad)" in text
    assert "at random, gold moves by +0.00 sd" in text
    assert "good was trained once: its intervals tell nothing of other seeds" in text
    none = give_verdict([designs[1]], (), runs[:1], ["a"], None)
    assert none.startswith("None of the designs clearly lifts the gold metrics (a).")


def test_the_verdict_warns_of_what_the_audit_of_the_best_design_found():
    def probe(name, kind, too_near):
        return Probe(name, "", UP, UP, UP, 10, kind=kind, too_near=too_near)

    probes = (
        probe("source", "lazy", True),
        probe("lead", "lazy", False),
        probe("x", "wrong", True),
    )
    audits = [
        Audit(name, "", 10, False, UP, UP, "source", probes, {}, 0.1, False, "")
        for name in ("good", "other")
    ]
    text = give_verdict([design("good", "sound", UP, UP)], (), [], ["a"], None, audits)
    assert "longer training may find a lazy way: 'source' comes too near the reference." in text
    assert "lazy" not in give_verdict([design("good", "sound", UP, UP)], (), [], ["a"], None)


def test_the_verdict_of_failed_runs_alone_claims_nothing():
    started = Design("untrained", "control", None, "control", "", None, NOTHING, None, None, UP)
    runs = [RunRecord("good", seed, "failed", error="out of memory") for seed in (0, 1)]
    assert give_verdict([started], (), runs, ["a"], None) == (
        "No run of a design is done, so nothing can be said of any. "
        "2 of 2 runs failed or are missing (good)."
    )


def test_a_divergence_is_not_negative():
    rng = np.random.default_rng(0)
    found = estimate_divergence(rng.normal(0.05, 3.0, (3, 20)))
    assert found.mean >= 0
    assert found.ci95[0] == 0
    assert found.ci95[1] > 0
    assert estimate_divergence(rng.normal(-2.0, 0.1, (3, 20))) == Estimate(0.0, (0.0, 0.0))
