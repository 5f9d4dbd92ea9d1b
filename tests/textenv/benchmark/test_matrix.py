"""From scores to gains, curves and comparisons: worked by hand on a few runs."""

from __future__ import annotations

import numpy as np
import pytest

from textenv.benchmark.bench_verdict import describe, give_verdict, judge
from textenv.benchmark.effects import Effect
from textenv.benchmark.matrix import (
    GOLD,
    RANDOM,
    BenchGains,
    DesignScores,
    Gains,
    compute_gains,
    estimate_divergence,
    fall_from_peak,
    measure_start,
)
from textenv.benchmark.results import (
    Audit,
    Comparison,
    Design,
    Metric,
    Part,
    Probe,
    RunRecord,
)
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
        np.tile(np.array(kl) / 10, (n_seeds, 1)),
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
    row = BenchGains({"own": gains}).row("own", found, metrics)
    assert row["b"].gain.mean == pytest.approx(-1.0)
    assert row["b"].raw_gain.mean == pytest.approx(-2.0)
    assert row["b"].iqm.mean == pytest.approx(0.0)  # each run ends at 2 * 0
    assert BenchGains({"own": gains}).hacking_index("own").mean == pytest.approx(4.0)


def test_a_metric_without_spread_is_no_measure():
    with pytest.raises(ConfigError, match=r"'flat' gives every sample .* the same score, 0.3"):
        measure_start({"flat": np.full((2, 5), 0.3)}, ["flat"], [])


def bench_of(**found):
    metrics = metrics_of(next(iter(found.values())))
    return BenchGains({name: compute_gains(one, metrics) for name, one in found.items()})


def test_a_curve_knows_its_peak_and_its_distances():
    found = bench_of(own=scores(own=(0, 1, 2), gold=(0, 2, 1)))
    curve = found.curve("own", GOLD)
    assert [(p.kl, p.gain.mean) for p in curve.points] == [(0, 0), (1, 2), (4, 1)]
    assert curve.peak == 1
    assert curve.fit is None  # two distances beside the start
    assert found.fall("own").mean == pytest.approx(-1.0)


def test_gains_are_read_at_equal_distance_by_response_and_by_token():
    found = bench_of(own=scores(own=(0, 1, 2), gold=(0, 2, 6)))
    # sqrt(KL) is 0, 1, 2; at KL 2.25 it is 1.5, half-way between the gains 2 and 6.
    assert found.at_kl(2.25, ["own"])["own"].mean == pytest.approx(4.0)
    # The same place by token: each response has 10.
    assert found.at_kl(0.225, ["own"], by_token=True)["own"].mean == pytest.approx(4.0)


def test_gains_are_measured_from_the_control_by_the_same_measure():
    found = bench_of(
        own=scores(own=(0, 1, 3), gold=(0, 1, 2)), random=scores(own=(0, 0, 1), gold=(0, 0, -1))
    )
    assert RANDOM == "random"
    assert found.own("own").mean == pytest.approx(2.0)
    assert found.gold("own").mean == pytest.approx(3.0)
    assert found.gold("own", "b").mean == pytest.approx(3.0)
    assert found.gold_since_start("own").mean == pytest.approx(2.0)
    assert found.gold_since_start(RANDOM).mean == pytest.approx(-1.0)
    assert found.hacking_index("own").mean == pytest.approx((3 - 2) - (1 + 1))
    assert found.lag("own").mean == pytest.approx((1.5 - 2) - (0.5 + 1))


def test_pairs_are_compared_by_gold_and_corrected_for_their_number():
    better, worse = scores(own=(0, 0, 1), gold=(0, 1, 3)), scores(own=(0, 0, 1), gold=(0, 1, 2))
    found = bench_of(better=better, worse=worse, other=worse)
    pairs = {(c.first, c.second): c for c in found.compare(["a", "b"])}
    first = pairs["better", "worse"]
    assert first.difference.mean == pytest.approx(1.0)
    assert first.probability_of_improvement.mean == 1.0
    assert first.p_holm == pytest.approx(3 * first.p)
    assert not first.equivalent
    assert pairs["worse", "other"].p == 1.0
    assert pairs["worse", "other"].probability_of_improvement.mean == 0.5
    assert pairs["worse", "other"].equivalent


def test_a_single_design_has_nothing_to_be_compared_with():
    found = bench_of(own=scores(own=(0, 1), gold=(0, 1), kl=(0, 1)))
    assert found.compare(["a", "b"]) == ()
    assert found.best_of(["own"]) is None


def test_a_peak_of_luck_alone_is_no_fall():
    """The highest of eight looks that differ by chance lies above the last one by luck."""
    rng = np.random.default_rng(0)
    falls, lucky = [], []
    for n_seeds in (1, 3):
        for _ in range(100):
            table = rng.normal(size=(n_seeds, 8, 30)) + rng.normal(size=(n_seeds, 8, 1))
            gains = compute_gains(
                DesignScores(
                    tuple(range(n_seeds)), *np.zeros((2, n_seeds, 8)), {"own": table, "a": table}
                ),
                [Metric("own", "design", 0.0, 1.0), Metric("a", "gold", 0.0, 1.0)],
            )
            if n_seeds == 3:
                falls.append(fall_from_peak(gains).mean())
                values = gains.values[GOLD]
                peak = values.mean(axis=(0, 2)).argmax()
                lucky.append((values[:, -1] - values[:, peak]).mean())
    assert np.mean(lucky) < -0.5
    assert np.mean(falls) == pytest.approx(0, abs=0.15)


def test_the_best_of_equal_designs_is_not_credited_with_its_luck():
    rng = np.random.default_rng(1)
    chosen, corrected = [], []
    for _ in range(200):
        gains = {}
        for name in "abcd":
            end = 0.5 + 0.2 * rng.normal(size=(3, 1)) + 0.5 * rng.normal(size=(3, 40))
            values = {GOLD: np.stack([np.zeros_like(end), end], axis=1)}
            looks = np.tile([0.0, 1.0], (3, 1))
            gains[name] = Gains((0, 1, 2), looks, looks, values)
        found = BenchGains(gains)
        chosen.append(max(found.gold_since_start(name).mean for name in gains))
        corrected.append(found.best_of(list(gains)).mean)
    assert np.mean(chosen) > 0.6
    assert np.mean(corrected) == pytest.approx(0.5, abs=0.03)


UP, DOWN = Estimate(1.0, (0.8, 1.2)), Estimate(-1.0, (-1.2, -0.8))
NOTHING = Estimate(0.0, (-0.1, 0.1))


def effect(mean, se=0.1, *, sees_seeds=True):
    return Effect(mean, se, 10, sees_seeds)


RISE, FALL, LITTLE, NONE = effect(1.0), effect(-1.0), effect(0.3), effect(0.0)
VAGUE = effect(0.1, 0.3)


@pytest.mark.parametrize(
    ("own", "gold", "index", "lag", "fall", "judgement", "says"),
    [
        (RISE, RISE, NONE, FALL, NONE, "sound", "rise along with"),
        (RISE, LITTLE, LITTLE, LITTLE, NONE, "drifts", "less than half"),
        (RISE, RISE, NONE, FALL, FALL, "drifts", "from their peak"),
        (RISE, NONE, RISE, LITTLE, NONE, "hacked", "do not rise"),
        (RISE, FALL, RISE, RISE, FALL, "hacked", "fall"),
        (RISE, LITTLE, NONE, NONE, NONE, "sound", "whether they keep up with half"),
        (NONE, RISE, FALL, FALL, NONE, "inert", "by less than 0.2 sd"),
        (FALL, RISE, FALL, FALL, NONE, "unclear", "shown to fall"),
        (VAGUE, RISE, FALL, FALL, NONE, "unclear", "Whether its own score rises"),
        (RISE, NONE, NONE, NONE, NONE, "unclear", "more seeds"),
        # Gold may keep up with half of it: that nothing shows is no proof of hacking.
        (RISE, NONE, RISE, NONE, NONE, "unclear", "more seeds"),
        (*[effect(9.0, sees_seeds=False)] * 5, "unclear", "One seed cannot tell"),
    ],
)
def test_a_judgement_follows_from_what_is_shown(own, gold, index, lag, fall, judgement, says):
    assert judge(own, gold, index, lag, fall) == judgement
    assert says in describe(judgement, own, gold, lag, fall)


NO = (None, None, None)


def design(name, judgement, own, gold):
    return Design(name, "design", name, judgement, "", {}, own, gold, own, gold, gold, UP)


def test_the_verdict_names_the_right_design_and_the_hacked_one():
    control = Design("random", "control", "random", "control", "", {}, None, NOTHING, *NO, UP)
    started = Design("untrained", "control", None, "control", "", {}, None, NOTHING, *NO, UP)
    designs = [design("good", "sound", UP, UP), design("bad", "hacked", UP, DOWN), control, started]
    runs = [RunRecord("good", 0, "done"), RunRecord("bad", 0, "failed", error="out of memory")]
    text = give_verdict(designs, (), runs, ["a", "b"], 2.0)
    assert text.startswith(
        "good is the design to train on: of those shown to lift the gold metrics (a and b) it does "
        "most, by +1.00"
    )
    assert "bad is hacked" in text
    assert "1 of 2 runs failed or are missing (bad)" in text
    assert "at random, gold moves by +0.00 sd" in text
    assert "good was trained once: its intervals tell nothing of other seeds" in text
    none = give_verdict([designs[1]], (), runs[:1], ["a"], None)
    assert none.startswith("None of the designs clearly lifts the gold metrics (a).")


def test_the_verdict_warns_of_what_the_audit_of_the_best_design_found():
    def probe(name, kind, at_fault):
        return Probe(name, "", UP, UP, UP, 10, kind=kind, at_fault=at_fault)

    probes = (
        probe("source", "lazy", True),
        probe("lead", "lazy", False),
        probe("x", "wrong", True),
    )
    audits = [
        Audit(
            *(name, "", 10, False, UP, UP, "source", probes, {}, 0.1, False, ""),
            *((Part("lazy", "fails", ""),), None, None, "version 1"),
        )
        for name in ("good", "other")
    ]
    text = give_verdict([design("good", "sound", UP, UP)], (), [], ["a"], None, audits)
    assert "longer training may find a lazy way: 'source' comes too near the reference." in text
    assert "lazy" not in give_verdict([design("good", "sound", UP, UP)], (), [], ["a"], None)


def test_the_verdict_tells_equal_designs_from_ones_that_the_runs_do_not_rank():
    designs = [design(name, "sound", UP, UP) for name in ("best", "equal", "open", "worse")]

    def pair(other, p, equivalent):
        return Comparison("best", other, UP, UP, p, p, equivalent)

    pairs = [pair("equal", 0.8, True), pair("open", 0.3, False), pair("worse", 0.01, False)]
    text = give_verdict(designs, pairs, [], ["a"], None, (), Estimate(0.8, (0.5, 1.1)))
    assert "the best of 4 gains +0.80 sd [+0.50, +1.10]." in text
    assert "equal is not to be told apart from it: the difference is shown to be below 0.2" in text
    assert "The runs do not decide between it and open." in text
    assert text.count("worse") == 0


def test_the_verdict_of_failed_runs_alone_claims_nothing():
    started = Design("untrained", "control", None, "control", "", {}, None, NOTHING, *NO, UP)
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
