"""The tables of an agreement with people, as rows of ready text."""

from __future__ import annotations

from dataclasses import replace

from textenv.benchmark.agreement.records import (
    LENGTH,
    LEVELS,
    Agreement,
    Level,
    RatingAgreement,
    RewardAgreement,
    RewardComparison,
)
from textenv.benchmark.statistics import Estimate
from textenv.report.intervals import make_axis
from textenv.report.numbers import format_number, format_p
from textenv.report.tables import (
    Column,
    Table,
    Value,
    make_table,
    place_bars,
    show_estimate,
    show_gain,
    show_text,
    words_column,
)

LEVEL_TITLES: dict[Level, str] = {
    "within": "Within items",
    "pooled": "All texts",
    "systems": "Between systems",
}


def make_rating_table(rating: RatingAgreement, level: Level) -> Table:
    """Returns a forest plot: each reward's Kendall's tau with one rating at each level."""
    rows = [*rating.rewards, *([rating.annotators] if rating.annotators else [])]
    levels = [key for key in LEVELS if key in rating.rewards[0].levels]
    ordered = [level, *(key for key in levels if key != level)]

    def tau(row: RewardAgreement, key: Level) -> Estimate | None:
        return row.levels[key].kendall

    axis = make_axis([tau(row, level) for row in rows])
    columns = [
        (words_column("Reward"), lambda row: show_text(row.reward)),
        (
            Column(f"{LEVEL_TITLES[level]}, tau", "plot", axis),
            lambda row: replace(
                show_gain(tau(row, level)), small="", bars=place_bars(axis, own=tau(row, level))
            ),
        ),
        *(
            (Column(LEVEL_TITLES[key]), lambda row, key=key: show_gain(tau(row, key)))
            for key in ordered
        ),
        (
            Column("Without length"),
            lambda row: show_gain(row.levels[level].kendall_without_length),
        ),
    ]
    if any(row.pairwise_accuracy for row in rows):
        columns.append((Column("Pairs right"), lambda row: show_estimate(row.pairwise_accuracy)))
    if any(row.soft_pairwise_accuracy for row in rows):
        columns.append(
            (Column("Systems, soft"), lambda row: show_estimate(row.soft_pairwise_accuracy))
        )
    muted = frozenset(
        i for i, row in enumerate(rows) if row.reward == LENGTH or row is rating.annotators
    )
    return replace(make_table(f"Agreement with {rating.rating}", rows, *columns), muted=muted)


def make_rank_table(rating: RatingAgreement) -> Table:
    """Returns Spearman's rho beside Kendall's tau, at every level, with and without length."""
    found = [(row, key) for row in rating.rewards for key in LEVELS if key in row.levels]
    return make_table(
        f"All correlations with {rating.rating}",
        found,
        (words_column("Reward"), lambda pair: show_text(pair[0].reward)),
        (words_column("Level"), lambda pair: show_text(LEVEL_TITLES[pair[1]])),
        (Column("Kendall"), lambda pair: show_gain(pair[0].levels[pair[1]].kendall)),
        (Column("Spearman"), lambda pair: show_gain(pair[0].levels[pair[1]].spearman)),
        (
            Column("Kendall without length"),
            lambda pair: show_gain(pair[0].levels[pair[1]].kendall_without_length),
        ),
        (
            Column("Spearman without length"),
            lambda pair: show_gain(pair[0].levels[pair[1]].spearman_without_length),
        ),
        (
            Column("Counted"),
            lambda pair: Value(str(pair[0].levels[pair[1]].n), sort=pair[0].levels[pair[1]].n),
        ),
    )


def make_preferences_table(found: Agreement) -> Table:
    """Returns how often each reward pays the preferred text more."""
    axis = make_axis([row.accuracy for row in found.preferences], reference=0.5)
    table = make_table(
        "Agreement with preferences",
        found.preferences,
        (words_column("Reward"), lambda row: show_text(row.reward)),
        (
            Column("Preferred text is paid more; dashed: a coin", "plot", axis),
            lambda row: replace(
                show_estimate(row.accuracy), small="", bars=place_bars(axis, own=row.accuracy)
            ),
        ),
        (Column("Share of pairs"), lambda row: show_estimate(row.accuracy)),
        (Column("Paid alike"), lambda row: Value(format_number(row.tied), sort=row.tied)),
        (Column("With people's ties"), lambda row: show_estimate(row.accuracy_with_ties)),
        (Column("Between systems, tau"), lambda row: show_gain(row.systems_kendall)),
    )
    muted = frozenset(i for i, row in enumerate(found.preferences) if row.reward == LENGTH)
    return replace(table, muted=muted)


def make_reward_comparisons_table(comparisons: tuple[RewardComparison, ...]) -> Table:
    """Returns the pairs of rewards beside the same people."""
    axis = make_axis([pair.difference for pair in comparisons])
    return make_table(
        "Comparisons of rewards",
        comparisons,
        (words_column("First"), lambda pair: show_text(pair.first)),
        (words_column("Second"), lambda pair: show_text(pair.second)),
        (
            Column("First minus second", "plot", axis),
            lambda pair: replace(
                show_gain(pair.difference), small="", bars=place_bars(axis, gap=pair.difference)
            ),
        ),
        (Column("Difference"), lambda pair: show_gain(pair.difference)),
        (Column("p"), lambda pair: Value(format_p(pair.p), sort=pair.p)),
        (
            Column("p, Holm"),
            lambda pair: Value(
                format_p(pair.p_holm), "differ" if pair.p_holm < 0.05 else "", sort=pair.p_holm
            ),
        ),
    )


def make_strengths_table(found: Agreement) -> Table:
    """Returns a forest plot of the systems: how people prefer each to an average one."""
    axis = make_axis([row.chance for row in found.strengths], reference=0.5)
    return make_table(
        "Which system people prefer",
        found.strengths,
        (words_column("System"), lambda row: show_text(row.system)),
        (
            Column("Preferred to an average one; dashed: a coin", "plot", axis),
            lambda row: replace(
                show_estimate(row.chance), small="", bars=place_bars(axis, gold=row.chance)
            ),
        ),
        (Column("Chance"), lambda row: show_estimate(row.chance)),
        (Column("Pairs"), lambda row: Value(str(row.n), sort=float(row.n))),
    )
