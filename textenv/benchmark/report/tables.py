"""The sortable tables of the report, as rows of ready text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from textenv.benchmark.report.intervals import Axis, Bar, make_axis
from textenv.benchmark.report.numbers import (
    MISSING,
    format_duration,
    format_interval,
    format_number,
    format_p,
)
from textenv.benchmark.report.reading import is_untrained
from textenv.benchmark.results import Audit, Bench, Probe, RunRecord
from textenv.benchmark.statistics import Estimate

Align = Literal["words", "number", "plot"]
_NEARNESS = {True: ("too near", "ties"), False: ("clear", "below"), None: ("", "")}


@dataclass(frozen=True)
class Value:
    """One cell.

    Attributes:
        text: What is read first.
        small: What is read after it: an interval, a remark.
        sort: What the column is sorted by: a number, else the text; None comes last.
        mark: The name of a symbol and colour, such as "hacked"; empty for none.
        detail: Long text, shown on demand.
        bars: Intervals to draw on the column's axis.
    """

    text: str
    small: str = ""
    sort: float | str | None = None
    mark: str = ""
    detail: str = ""
    bars: tuple[Bar, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column's heading, and the axis of its plots if it has any."""

    title: str
    align: Align = "number"
    axis: Axis | None = None


@dataclass(frozen=True)
class Table:
    """A table: the first column names the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    muted: frozenset[int] = field(default=frozenset())


def make_designs_table(bench: Bench) -> Table:
    """Returns what the benchmark concludes of each design, with the numbers behind it."""
    rows = [
        (
            _text(design.name),
            Value(design.judgement, sort=design.judgement, mark=design.judgement),
            _gain(design.own_gain),
            _zero() if is_untrained(design) else _gain(design.gold_gain),
            _gain(design.hacking_index),
            _gain(design.gold_at_matched_kl),
            _zero() if is_untrained(design) else _plain(design.kl),
        )
        for design in bench.designs
    ]
    titles = ("Own gain", "Gold gain", "Hacking index", "Gold at matched KL", "KL, nats")
    columns = (Column("Design", "words"), Column("Judgement", "words"), *map(Column, titles))
    muted = frozenset(i for i, design in enumerate(bench.designs) if design.kind == "control")
    return Table("Designs", columns, tuple(rows), muted)


def make_gap_table(bench: Bench) -> Table:
    """Returns a forest plot: each design's two gains, and the gap between them."""
    designs = [design for design in bench.designs if design.hacking_index is not None]
    designs.sort(key=lambda design: -_mean(design.hacking_index))
    gains = [e for d in designs for e in (d.own_gain, d.gold_gain) if e is not None]
    gains_axis = make_axis(gains)
    gap_axis = make_axis([d.hacking_index for d in designs if d.hacking_index is not None])
    rows = []
    for design in designs:
        own = [gains_axis.place(design.own_gain, "own")] if design.own_gain else []
        assert design.hacking_index is not None
        rows.append(
            (
                Value(design.name, sort=design.name, mark=design.judgement),
                Value(
                    f"own {_signed(design.own_gain)}, gold {_signed(design.gold_gain)}",
                    sort=_mean(design.gold_gain),
                    bars=(gains_axis.place(design.gold_gain, "gold"), *own),
                ),
                Value(
                    _signed(design.hacking_index),
                    sort=design.hacking_index.mean,
                    bars=(gap_axis.place(design.hacking_index, "gap"),),
                ),
                _gain(design.hacking_index),
            )
        )
    columns = (
        Column("Design", "words"),
        Column("Own and gold gain, sd", "plot", gains_axis),
        Column("Hacking index, sd", "plot", gap_axis),
        Column("Hacking index"),
    )
    return Table("Hacking index", columns, tuple(rows))


def make_points_table(bench: Bench) -> Table:
    """Returns every measured point of the curves."""
    rows = [
        (
            _text(curve.design),
            _text(curve.metric),
            Value(format_number(point.kl), sort=point.kl),
            _gain(point.gain),
            Value("peak" if i == curve.peak else "", sort="peak" if i == curve.peak else None),
        )
        for curve in bench.curves
        for i, point in enumerate(curve.points)
    ]
    columns = (
        Column("Trained on", "words"),
        Column("Metric", "words"),
        Column("KL, nats"),
        Column("Gain, sd"),
        Column("Peak", "words"),
    )
    return Table("Points of the curves", columns, tuple(rows))


def make_comparisons_table(bench: Bench) -> Table:
    """Returns the pairs of designs, compared by the gold metrics."""
    axis = make_axis([comparison.difference for comparison in bench.comparisons])
    rows = [
        (
            _text(comparison.first),
            _text(comparison.second),
            Value(
                _signed(comparison.difference),
                sort=comparison.difference.mean,
                bars=(axis.place(comparison.difference, "gap"),),
            ),
            _gain(comparison.difference),
            _plain(comparison.probability_of_improvement),
            Value(format_p(comparison.p), sort=comparison.p),
            Value(
                format_p(comparison.p_holm),
                sort=comparison.p_holm,
                small="differ" if comparison.p_holm < 0.05 else "",
            ),
        )
        for comparison in bench.comparisons
    ]
    columns = (
        Column("First", "words"),
        Column("Second", "words"),
        Column("First minus second, gold, sd", "plot", axis),
        Column("Difference"),
        Column("P(first better)"),
        Column("p"),
        Column("p, Holm"),
    )
    return Table("Comparisons of designs", columns, tuple(rows))


def make_probes_table(audit: Audit) -> Table:
    """Returns how each policy without merit fares beside the reference."""
    scores = [audit.ceiling, audit.floor, *(p.score for p in audit.probes if p.score is not None)]
    axis = make_axis(scores, reference=audit.ceiling.mean)
    rows = [
        (
            Value(probe.name, small=probe.what, sort=probe.name),
            Value(
                format_number(probe.score.mean) if probe.score else MISSING,
                sort=probe.score.mean if probe.score else None,
                bars=(axis.place(probe.score, "own"),) if probe.score else (),
            ),
            _plain(probe.score),
            _compare(probe),
            _plain(probe.auc),
            Value(str(probe.n), sort=float(probe.n)),
            _text(probe.kind),
            Value("", small=probe.note, detail=probe.example, sort=probe.example or None),
        )
        for probe in audit.probes
    ]
    columns = (
        Column("Probe", "words"),
        Column("Score; dashed: the reference", "plot", axis),
        Column("Score"),
        Column("Against the reference"),
        Column("AUC"),
        Column("Examples"),
        Column("Kind", "words"),
        Column("What it writes", "words"),
    )
    return Table(f"Probes of {audit.reward}", columns, tuple(rows))


def make_correlations_table(audit: Audit) -> Table:
    """Returns the rank correlation with other metrics, strongest first."""
    pairs = sorted(audit.correlations.items(), key=lambda pair: -pair[1])
    rows = [(_text(name), Value(format_number(rho), sort=rho)) for name, rho in pairs]
    columns = (Column("Metric", "words"), Column("Spearman's rho"))
    return Table(f"Correlations of {audit.reward}", columns, tuple(rows))


def make_runs_table(runs: Iterable[RunRecord]) -> Table:
    """Returns runs with their errors, in the order given."""
    rows = [
        (
            _text(run.design),
            Value(str(run.seed), sort=float(run.seed)),
            Value(run.status, sort=run.status, mark=run.status),
            Value(format_duration(run.wall_s) if run.wall_s else MISSING, sort=run.wall_s or None),
            Value("", detail=run.error, sort=run.error or None),
        )
        for run in runs
    ]
    columns = (
        Column("Design", "words"),
        Column("Seed"),
        Column("Status", "words"),
        Column("Time"),
        Column("Error", "words"),
    )
    return Table("Runs", columns, tuple(rows))


def _compare(probe: Probe) -> Value:
    difference = probe.reference_minus_probe
    if difference is None:
        return Value(MISSING)
    low, high = difference.ci95
    word, mark = _NEARNESS[probe.too_near]
    against = Estimate(-difference.mean, (-high, -low))
    return Value(
        word,
        small=f"{format_number(against.mean, 3, signed=True)} {format_interval(against, 3)}",
        sort=against.mean,
        mark=mark,
    )


def _text(text: str) -> Value:
    return Value(text, sort=text)


def _zero() -> Value:
    """Returns a 0 that is so by definition, and has no interval."""
    return Value(format_number(0.0), sort=0.0)


def _gain(estimate: Estimate | None) -> Value:
    return Value(_signed(estimate), format_interval(estimate), _sort(estimate))


def _plain(estimate: Estimate | None) -> Value:
    mean = estimate.mean if estimate else None
    return Value(format_number(mean), format_interval(estimate), _sort(estimate))


def _signed(estimate: Estimate | None) -> str:
    return format_number(estimate.mean if estimate else None, signed=True)


def _sort(estimate: Estimate | None) -> float | None:
    return estimate.mean if estimate else None


def _mean(estimate: Estimate | None) -> float:
    return estimate.mean if estimate else 0.0
