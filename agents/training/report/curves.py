"""The curves of a run, or of several over each other: small charts against the iteration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from agents.training.metrics import LEVEL, METRICS, metric_names
from agents.training.report.run_record import Row, RunRecord
from textenv.benchmark.statistics import Estimate
from textenv.report.charts import (
    Chart,
    Panel,
    make_frame,
    make_line,
    make_y_ticks,
    place_labels,
)
from textenv.report.intervals import Tick, round_ticks
from textenv.report.metric_rows import LOOK, REWARD, estimate_metric, is_number
from textenv.report.numbers import MISSING, format_number
from textenv.report.tables import Column, Table, Value, make_table

_MOST_POINTS = 120  # of a line; a longer one is drawn as means of neighbours
_DOTTED = 40  # most points that are marked one by one
_TABLE_ROWS = 40
N_COLORS = 6  # of runs over each other
# Colour, label, iterations and estimates of a line.
_LineData = tuple[str, str, list[float], list[Estimate]]


@dataclass(frozen=True)
class Curve:
    """What a chart shows of metrics.jsonl."""

    title: str
    unit: str  # of the y axis
    key: str  # of sampled episodes, or of the update
    look: str = ""  # the same of validation examples; empty for none
    is_told: bool = True  # whether it is shown where it is 0 in every row
    floor: float = -math.inf  # what is lower is drawn here, and said
    meaning: str = ""  # where `METRICS` does not say it


_MEANINGS = {metric.name: metric.meaning for group in METRICS.values() for metric in group}
_PART = (
    "a part of the reward, or a measure that it reports beside it: the mean over the sampled "
    "episodes of an iteration"
)
_REWARD = Curve("Reward", "mean reward", REWARD, LOOK)
_CURVES = (
    Curve("Gold, which nobody is paid", "mean score", "validation/gold"),
    Curve("KL to the start", "nats a response", "kl/ref"),
    Curve("Entropy", "nats a token", "train/entropy"),
    Curve("Length of responses", "tokens", "rollout/response_tokens", "validation/response_tokens"),
    Curve("Turns that the agent ends", "share", "rollout/ended_share", "validation/ended_share"),
    Curve("Clip fraction", "share of tokens", "train/clip_fraction"),
    Curve("KL of an update", "nats a token", "train/approx_kl"),
    Curve("Critic: explained variance", "share", "train/explained_variance", floor=-1.0),
    Curve("Critic: loss", "squared reward", "train/value_loss"),
    Curve("Groups that teach nothing", "share", "rollout/equal_groups"),
    Curve("Prompts drawn by variance", "share", "curriculum/by_variance_share", is_told=False),
    Curve("Variance of what was drawn", "squared reward", "curriculum/variance"),
    Curve("Prompts that teach nothing", "share", "curriculum/equal_prompts"),
    Curve("Episodes without a score", "number", "rollout/invalid_episodes", is_told=False),
    Curve("Skipped steps", "number so far", "train/skipped_steps", is_told=False),
    Curve("Throughput", "tokens a second", "time/tokens_per_s"),
    Curve("Time in the reward", "s an iteration", "time/reward_s"),
)
# Of each difficulty level; keys are the ends of its own.
_LEVEL_CURVES = (
    Curve("Prompts of", "share", "share", meaning=_MEANINGS[f"{LEVEL}share"]),
    Curve("Variance in", "squared reward", "variance", meaning=_MEANINGS[f"{LEVEL}variance"]),
)


@dataclass(frozen=True)
class Drawn:
    """A panel with the title of its y axis."""

    panel: Panel
    unit: str


def make_panels(run: RunRecord) -> list[Drawn]:
    """Returns a panel for each curve that a run has, its reward and the reward's parts first."""
    return list(_panels(run))


def make_compared_panels(runs: Sequence[RunRecord], letters: Sequence[str]) -> list[Drawn]:
    """Returns a panel for each curve that one of the runs has, with a line for each run."""
    return list(_compared_panels(runs, letters))


def make_curves_table(run: RunRecord) -> Table:
    """Returns the curves' values at up to 40 iterations, evenly spread."""
    keys = [key for curve in (_REWARD, *_CURVES) for key in (curve.key, curve.look) if key]
    n = min(len(run.metrics), _TABLE_ROWS)
    chosen = [run.metrics[i * (len(run.metrics) - 1) // max(n - 1, 1)] for i in range(n)]
    columns = [(Column(key), partial(_cell, key)) for key in ("iteration", *keys) if _has(run, key)]
    return make_table("The curves", chosen, *columns)


def component_names(runs: Sequence[RunRecord]) -> list[str]:
    """Returns the parts of the reward, under its names for them."""
    known = metric_names()
    keys = dict.fromkeys(key for run in runs for row in run.metrics for key in row)
    return [
        key.removeprefix("rollout/")
        for key in keys
        if key.startswith("rollout/") and key not in known
    ]


def level_names(runs: Sequence[RunRecord]) -> list[str]:
    """Returns the difficulty levels whose prompts were played."""
    before, _, _ = LEVEL.partition("LEVEL")
    keys = dict.fromkeys(key for run in runs for row in run.metrics for key in row)
    return [
        key.removeprefix(before).removesuffix("/share")
        for key in keys
        if key.startswith(before) and key.endswith("/share")
    ]


def _panels(run: RunRecord) -> Iterator[Drawn]:
    for curve in _curves_of([run]):
        both = bool(curve.look) and _has(run, curve.look)
        drawn = [("own", "train" if both else "", *_points(run, curve.key))]
        drawn += [("gold", "look", *_points(run, curve.look))] if both else []
        notes = [_note(label, estimates) for _, label, _, estimates in drawn]
        yield _draw(curve, drawn, notes)


def _compared_panels(runs: Sequence[RunRecord], letters: Sequence[str]) -> Iterator[Drawn]:
    for curve in _curves_of(runs):
        looks = replace(curve, title=f"{curve.title}, looks", key=curve.look)
        for one in (looks, curve) if curve.look else (curve,):
            drawn = [
                (f"run{i % N_COLORS + 1}", letter, *_points(run, one.key))
                for i, (run, letter) in enumerate(zip(runs, letters, strict=True))
                if _has(run, one.key)
            ]
            if drawn:
                yield _draw(one, drawn, [])


def _curves_of(runs: Sequence[RunRecord]) -> list[Curve]:
    parts = [
        Curve(name, "mean", f"rollout/{name}", meaning=_PART) for name in component_names(runs)
    ]
    levels = [
        replace(curve, title=f"{curve.title} {name}", key=LEVEL.replace("LEVEL", name) + curve.key)
        for name in level_names(runs)
        for curve in _LEVEL_CURVES
    ]
    curves = (_REWARD, *parts, *_CURVES, *levels)
    return [c for c in curves if any(_has(run, c.key, c.is_told) for run in runs)]


def _cell(key: str, row: Row) -> Value:
    value = row.get(key)
    if key == "iteration":
        return Value(str(value), sort=value)
    return Value(MISSING if value is None else _brief(value), sort=value)


def _draw(curve: Curve, drawn: Sequence[_LineData], notes: Sequence[str]) -> Drawn:
    estimates = [e for _, _, _, found in drawn for e in found]
    shown = [_raise(e, curve.floor) for e in estimates]
    frame = make_frame([x for _, _, xs, _ in drawn for x in xs], shown, with_zero=False)
    lines = [
        make_line(
            role,
            label,
            frame,
            xs,
            [_raise(e, curve.floor) for e in found],
            [f"iteration {x:.0f}" for x in xs],
            peak=0,
            has_dots=len(xs) <= _DOTTED,
        )
        for role, label, xs, found in drawn
    ]
    ticks = tuple(
        Tick(frame.x(x), str(round(x)))
        for x, _ in round_ticks(0, frame.x_high)
        if abs(x - round(x)) < 1e-9
    )
    chart = Chart(place_labels(lines), ticks, make_y_ticks(frame), None, None)
    meaning = _MEANINGS.get(curve.key, curve.meaning).replace("`", "")
    told = [f"{meaning[0].upper()}{meaning[1:]}."] if meaning else []
    lowest = min((e.mean for e in estimates), default=0.0)
    if lowest < curve.floor:
        told.append(
            f"Drawn from {format_number(curve.floor, 0)} up; the lowest is {_brief(lowest)}."
        )
    return Drawn(Panel(curve.title, "", chart, None, (*told, *notes)), curve.unit)


def _note(label: str, found: Sequence[Estimate]) -> str:
    whose = {"": "", "look": "Looks: ", "train": "Training: "}[label]
    first, last = (_brief(e.mean) for e in (found[0], found[-1]))
    told = f"from {first} to {last}." if len(found) > 1 else f"{last}."
    return f"{whose}{told}" if whose else f"{told[0].upper()}{told[1:]}"


def _points(run: RunRecord, key: str) -> tuple[list[float], list[Estimate]]:
    """Returns the iterations at which a metric has a value, and the values with intervals."""
    rows = [row for row in run.metrics if is_number(row.get(key))]
    size = math.ceil(len(rows) / _MOST_POINTS)
    groups = [rows[i : i + size] for i in range(0, len(rows), size)]
    estimates = [[estimate_metric(run.config, row, key) for row in group] for group in groups]
    return [_average([row["iteration"] for row in group]) for group in groups], [
        Estimate(
            _average([e.mean for e in group]),
            (_average([e.ci95[0] for e in group]), _average([e.ci95[1] for e in group])),
        )
        for group in estimates
    ]


def _has(run: RunRecord, key: str, is_told: bool = True) -> bool:
    values = [row[key] for row in run.metrics if is_number(row.get(key))]
    return bool(values) and (is_told or any(values))


def _raise(estimate: Estimate, floor: float) -> Estimate:
    low, high = estimate.ci95
    return Estimate(max(estimate.mean, floor), (max(low, floor), max(high, floor)))


def _brief(value: float) -> str:
    """Writes a number with four digits, however small it is."""
    decimals = 3 - math.floor(math.log10(abs(value))) if value else 0
    return format_number(value, min(max(decimals, 0), 6))


def _average(values: Sequence[float]) -> float:
    return sum(values) / len(values)
