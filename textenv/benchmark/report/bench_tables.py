"""The sortable tables of a bench and its audits, as rows of ready text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from textenv.benchmark.report.record_files import is_untrained
from textenv.benchmark.results import (
    Audit,
    Bench,
    Comparison,
    Design,
    Probe,
    RunRecord,
    StrategySearch,
)
from textenv.benchmark.statistics import Estimate
from textenv.report.intervals import make_axis
from textenv.report.numbers import (
    MISSING,
    format_duration,
    format_interval,
    format_number,
    format_p,
)
from textenv.report.tables import (
    Column,
    Table,
    Value,
    format_signed,
    make_table,
    place_bars,
    show_estimate,
    show_gain,
    show_number,
    show_text,
    words_column,
)

_AT_FAULT = {True: ("too near", "ties"), False: ("clear", "below"), None: ("", "")}


def make_designs_table(bench: Bench) -> Table:
    """Returns what the benchmark concludes of each design, with the numbers behind it."""
    table = make_table(
        "Designs",
        bench.designs,
        (words_column("Design"), lambda d: show_text(d.name)),
        (words_column("Judgement"), lambda d: replace(show_text(d.judgement), mark=d.judgement)),
        (Column("Own gain"), lambda d: show_gain(d.own_gain)),
        (Column("Gold gain"), lambda d: _ZERO if is_untrained(d) else show_gain(d.gold_gain)),
        (Column("Hacking index"), lambda d: show_gain(d.hacking_index)),
        (Column("Gold at matched KL"), lambda d: show_gain(d.gold_at_matched_kl)),
        (Column("by KL a token"), lambda d: show_gain(d.gold_at_matched_kl_by_token)),
        (Column("KL, nats"), lambda d: _ZERO if is_untrained(d) else show_estimate(d.kl)),
        *(_judged_by(metric.name) for metric in bench.metrics if metric.kind == "gold"),
    )
    muted = frozenset(i for i, design in enumerate(bench.designs) if design.kind == "control")
    return replace(table, muted=muted)


def _judged_by(gold: str) -> tuple[Column, Callable[[Design], Value]]:
    """Returns the column of what one gold metric alone would conclude."""

    def show(design: Design) -> Value:
        word = design.by_gold.get(gold, "")
        return replace(show_text(word), mark=word)

    return words_column(f"By {gold} alone"), show


def make_gap_table(bench: Bench) -> Table:
    """Returns a forest plot: each design's two gains, and the gap between them."""
    designs = [design for design in bench.designs if design.hacking_index is not None]
    designs.sort(key=lambda design: -_mean(design.hacking_index))
    gains = make_axis([e for d in designs for e in (d.gold_gain, d.own_gain)])
    gaps = make_axis([d.hacking_index for d in designs])
    return make_table(
        "Hacking index",
        designs,
        (words_column("Design"), lambda d: replace(show_text(d.name), mark=d.judgement)),
        (
            Column("Own and gold gain, sd", "plot", gains),
            lambda d: Value(
                f"own {format_signed(d.own_gain)}, gold {format_signed(d.gold_gain)}",
                sort=_mean(d.gold_gain),
                bars=place_bars(gains, gold=d.gold_gain, own=d.own_gain),
            ),
        ),
        (
            Column("Hacking index, sd", "plot", gaps),
            lambda d: replace(
                show_gain(d.hacking_index), small="", bars=place_bars(gaps, gap=d.hacking_index)
            ),
        ),
        (Column("Hacking index"), lambda d: show_gain(d.hacking_index)),
    )


def make_points_table(bench: Bench) -> Table:
    """Returns every measured point of the curves."""
    points = [(curve, i, point) for curve in bench.curves for i, point in enumerate(curve.points)]
    return make_table(
        "Points of the curves",
        points,
        (words_column("Trained on"), lambda p: show_text(p[0].design)),
        (words_column("Metric"), lambda p: show_text(p[0].metric)),
        (Column("KL, nats"), lambda p: show_number(p[2].kl)),
        (Column("Gain, sd"), lambda p: show_gain(p[2].gain)),
        (words_column("Peak"), lambda p: show_text("peak") if p[1] == p[0].peak else Value("")),
    )


def make_comparisons_table(bench: Bench) -> Table:
    """Returns the pairs of designs, compared by the gold metrics."""
    axis = make_axis([comparison.difference for comparison in bench.comparisons])
    return make_table(
        "Comparisons of designs",
        bench.comparisons,
        (words_column("First"), lambda c: show_text(c.first)),
        (words_column("Second"), lambda c: show_text(c.second)),
        (
            Column("First minus second, gold, sd", "plot", axis),
            lambda c: replace(
                show_gain(c.difference), small="", bars=place_bars(axis, gap=c.difference)
            ),
        ),
        (Column("Difference"), lambda c: show_gain(c.difference)),
        (Column("P(first better)"), lambda c: show_estimate(c.probability_of_improvement)),
        (Column("p"), lambda c: Value(format_p(c.p), sort=c.p)),
        (
            Column("p, Holm"),
            lambda c: Value(format_p(c.p_holm), _relation(c), sort=c.p_holm),
        ),
    )


def make_probes_table(audit: Audit) -> Table:
    """Returns how each policy without merit fares beside the reference."""
    scores = [audit.ceiling, audit.floor, *(probe.score for probe in audit.probes)]
    axis = make_axis(scores, reference=audit.ceiling.mean)
    return make_table(
        f"Probes of {audit.reward}",
        audit.probes,
        (words_column("Text"), lambda p: Value(p.name, p.what, sort=p.name)),
        (
            Column("Score; dashed: the reference", "plot", axis),
            lambda p: replace(show_estimate(p.score), small="", bars=place_bars(axis, own=p.score)),
        ),
        (Column("Score"), lambda p: show_estimate(p.score)),
        (Column("Against the reference"), _compare),
        (Column("Reference wins"), lambda p: show_estimate(p.auc)),
        (Column("Examples"), lambda p: Value(str(p.n), sort=float(p.n))),
        (words_column("Kind"), lambda p: show_text(p.kind)),
        (words_column("If at fault"), lambda p: show_text("" if p.kind == "near" else p.severity)),
        (
            words_column("What it writes"),
            lambda p: Value("", p.note, sort=p.example or None, detail=p.example),
        ),
    )


def make_strategy_table(found: StrategySearch) -> Table:
    """Returns what the best rule writes for some prompts."""
    return make_table(
        f"What the best rule writes under {found.reward}",
        found.texts,
        (words_column("Prompt"), lambda one: Value("", sort=one.prompt, detail=one.prompt)),
        (
            words_column("Text"),
            lambda one: Value("", sort=one.text, detail=one.text or "(nothing)"),
        ),
        (Column("Earns"), lambda one: show_number(one.score)),
    )


def make_correlations_table(audit: Audit) -> Table:
    """Returns the rank correlation with other metrics, strongest first."""
    return make_table(
        f"Correlations of {audit.reward}",
        sorted(audit.correlations.items(), key=lambda pair: -pair[1]),
        (words_column("Metric"), lambda pair: show_text(pair[0])),
        (Column("Spearman's rho"), lambda pair: show_number(pair[1])),
    )


def make_runs_table(runs: Sequence[RunRecord]) -> Table:
    """Returns runs with their errors, in the order given."""
    return make_table(
        "Runs",
        runs,
        (words_column("Design"), lambda run: show_text(run.design)),
        (Column("Seed"), lambda run: Value(str(run.seed), sort=float(run.seed))),
        (words_column("Status"), lambda run: replace(show_text(run.status), mark=run.status)),
        (
            Column("Time"),
            lambda run: Value(
                format_duration(run.wall_s) if run.wall_s else MISSING, sort=run.wall_s or None
            ),
        ),
        (words_column("Error"), lambda run: Value("", sort=run.error or None, detail=run.error)),
    )


def _compare(probe: Probe) -> Value:
    difference = probe.reference_minus_probe
    if difference is None:
        return Value(MISSING)
    low, high = difference.ci95
    word, mark = _AT_FAULT[probe.at_fault]
    if probe.kind == "same":
        word = {True: "too far", False: "paid", None: ""}[probe.at_fault]
    against = Estimate(-difference.mean, (-high, -low))
    return Value(
        word,
        small=f"{format_number(against.mean, 3, signed=True)} {format_interval(against, 3)}",
        sort=against.mean,
        mark=mark,
    )


def _relation(pair: Comparison) -> str:
    if pair.equivalent:
        return "within 0.2 sd"
    return "differ" if pair.p_holm < 0.05 else ""


def _mean(estimate: Estimate | None) -> float:
    return estimate.mean if estimate else 0.0


_ZERO = show_number(0.0)  # a gain that is 0 by definition, and has no interval
