"""Renders the page that compares runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.training.report.comparison import Comparison, Contestant
from agents.training.report.curves import make_compared_panels
from agents.training.report.render import page_environment
from agents.training.report.texts import Asked, Group, make_asked
from textenv.benchmark.statistics import Estimate
from textenv.report import render_page
from textenv.report.intervals import make_axis
from textenv.report.numbers import format_interval, format_number
from textenv.report.tables import (
    Column,
    Table,
    Value,
    make_table,
    place_bars,
    show_text,
    words_column,
)

_DECIMALS = 3
_EXTREMES = 4  # examples of each kind
_MARKS = {"better": "sound", "worse": "hacked", "cannot tell": "unclear", "": ""}


def render_comparison(comparison: Comparison) -> str:
    """Returns the page of a comparison as HTML."""
    values = comparison_values(comparison)
    return render_page(
        page_environment(), "compare.html.j2", data=comparison.to_json(), files=(), **values
    )


def comparison_values(comparison: Comparison) -> dict[str, Any]:
    """Returns what the template `compare.html.j2` shows."""
    contestants = comparison.contestants
    letters = [c.letter for c in contestants]
    return {
        "title": f"{contestants[0].run.config['id']}: {', '.join(c.name for c in contestants)}",
        "comparison": comparison,
        "sentence": describe_comparison(comparison),
        "caution": describe_caution(comparison),
        "runs_table": make_runs_table(comparison),
        "metrics_table": make_metrics_table(comparison),
        "keys_table": make_keys_table(
            "Configuration keys that differ", comparison.keys, contestants
        ),
        "versions_table": make_keys_table("Versions that differ", comparison.versions, contestants),
        "names": [(c.letter, c.name) for c in contestants],
        "drawn": make_compared_panels([c.run for c in contestants], letters),
        "groups": make_groups(comparison),
    }


def describe_comparison(comparison: Comparison) -> str:
    """Returns what the intervals say, a sentence for each run but the first."""
    first, *others = comparison.contestants
    n, split = len(comparison.questions), first.run.config.get("eval_split", "test")
    said = [
        f"On the same {n} examples of the {split} split, {first.name} (A) earns a mean reward of "
        f"{format_number(first.reward.mean, _DECIMALS)}."
    ]
    for one in others:
        assert one.difference is not None
        how = {
            "better": f"{one.name} ({one.letter}) is better",
            "worse": f"{one.name} ({one.letter}) is worse",
            "cannot tell": f"Whether {one.name} ({one.letter}) is better or worse cannot be told",
        }[one.words]
        said.append(
            f"{how}: a difference of {format_number(one.difference.mean, _DECIMALS, signed=True)}, "
            f"95 % interval {format_interval(one.difference, _DECIMALS)}."
        )
    return " ".join(said)


def describe_caution(comparison: Comparison) -> str:
    """Returns what the intervals do not say."""
    if comparison.differs_in_seed_alone:
        return (
            "The runs differ in their seeds alone, so the differences are the luck of a seed: one "
            "between other configurations has to be larger than these."
        )
    return (
        "An interval says what other examples would bring, not what another seed would: train each "
        "configuration with several seeds before you choose. Of many intervals one in twenty "
        "excludes 0 by chance."
    )


def make_runs_table(comparison: Comparison) -> Table:
    """Returns each run's reward, and its difference to that of the first."""
    axis = make_axis([one.difference for one in comparison.contestants])
    return make_table(
        "Runs",
        comparison.contestants,
        (words_column("Run"), lambda c: Value(f"{c.letter}  {c.name}", sort=c.letter)),
        (Column("Seed"), lambda c: Value(str(c.run.config.get("seed")), sort=_seed(c))),
        (Column("Iteration"), lambda c: Value(str(c.iteration), sort=float(c.iteration))),
        (Column("Reward"), lambda c: _show(c.reward)),
        (
            Column("Difference to A", "plot", axis),
            lambda c: replace(
                _show(c.difference, signed=True),
                small="",
                bars=place_bars(axis, gap=c.difference),
            ),
        ),
        (Column("Difference to A"), lambda c: _show(c.difference, signed=True)),
        (
            words_column("Says"),
            lambda c: replace(show_text(c.words), mark=_MARKS[c.words]) if c.words else Value(""),
        ),
    )


def make_metrics_table(comparison: Comparison) -> Table:
    """Returns every metric of the first run, and the differences of the others to it."""
    _, *others = comparison.contestants

    def column(one: Contestant) -> tuple[Column, Any]:
        return Column(f"{one.letter} minus A"), lambda name: _show(one.differences.get(name), True)

    return make_table(
        "Every metric",
        list(comparison.means),
        (words_column("Metric"), show_text),
        (Column("A"), lambda name: _number(comparison.means[name])),
        *(column(one) for one in others),
    )


def make_keys_table(
    caption: str, found: Mapping[str, tuple[Any, ...]], contestants: Sequence[Contestant]
) -> Table:
    """Returns keys with a value a run."""

    def column(i: int, one: Contestant) -> tuple[Column, Any]:
        return words_column(f"{one.letter}  {one.name}"), lambda key: show_text(
            _text(found[key][i])
        )

    return make_table(
        caption,
        list(found),
        (words_column("Key"), show_text),
        *(column(i, one) for i, one in enumerate(contestants)),
    )


def make_groups(comparison: Comparison) -> list[Group]:
    """Returns the examples at which a run is furthest ahead of the first, and furthest behind."""
    first, *others = comparison.contestants
    ahead, behind = [], []
    for i, mine in enumerate(first.answers):
        differences = [one.answers[i]["reward"] - mine["reward"] for one in others]
        ahead.append((max(differences), i))
        behind.append((-min(differences), i))
    names = "B" if len(others) == 1 else "another run"
    groups = [
        (f"Where {names} is furthest ahead of A", ahead),
        (f"Where {names} is furthest behind A", behind),
    ]
    return [
        Group(title, "", tuple(_ask(comparison, i) for _, i in chosen))
        for title, ranked in groups
        if (chosen := [p for p in sorted(ranked, key=lambda p: -p[0]) if p[0] > 0][:_EXTREMES])
    ]


def _ask(comparison: Comparison, i: int) -> Asked:
    answers = {f"{one.letter} {one.name}": one.answers[i] for one in comparison.contestants}
    return make_asked(comparison.questions[i], answers, against_first=True)


def _show(estimate: Estimate | None, signed: bool = False) -> Value:
    if estimate is None:
        return Value("")
    text = format_number(estimate.mean, _DECIMALS, signed)
    return Value(text, format_interval(estimate, _DECIMALS), estimate.mean)


def _number(value: float) -> Value:
    return Value(format_number(value, _DECIMALS), sort=value)


def _seed(one: Contestant) -> float | None:
    seed = one.run.config.get("seed")
    return None if seed is None else float(seed)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
