"""Asks whether rewards agree with people: `agree`, and the command `rewards agree`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from textenv.benchmark.agreement.estimates import compare_rewards, estimate_or_none
from textenv.benchmark.agreement.preferences import judge_preferences
from textenv.benchmark.agreement.rank_correlation import (
    FloatArray,
    mean_of_defined,
    without,
)
from textenv.benchmark.agreement.rating_files import read_rated_rows
from textenv.benchmark.agreement.ratings import (
    Layout,
    Ratings,
    hold_preferences,
    make_preferences,
    make_ratings,
)
from textenv.benchmark.agreement.records import (
    LENGTH,
    LEVELS,
    Agreement,
    Level,
    RankAgreement,
    RatingAgreement,
    RewardAgreement,
)
from textenv.benchmark.agreement.resampling import (
    Correlations,
    Resampler,
    Sample,
)
from textenv.benchmark.agreement.scores import OnProgress, score_texts
from textenv.benchmark.agreement.verdict import write_verdict
from textenv.benchmark.statistics import Estimate
from textenv.errors import ConfigError
from textenv.rewards.loading import RewardSpec
from textenv.rewards.naming import describe_reward, name_rewards

RESAMPLES = 1_000
_FEW_TEXTS = 3  # texts an item from which rewards are compared within items

Rows = Sequence[Mapping[str, Any]]


def agree(
    source: str | Path | Rows,
    reward: RewardSpec | Sequence[RewardSpec] | Mapping[str, RewardSpec],
    human: str | Sequence[str] = (),
    *,
    item: str | None = None,
    system: str | None = None,
    level: Level | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Agreement:
    """Compares rewards with what people said of the same texts.

        >>> found = agree("summeval.jsonl", ["rougeL", "chrf"], "relevance")
        >>> print(found.verdict)

    Rank correlations are Kendall's tau-b and Spearman's rho: within items (the mean over items of
    the correlation of their texts), pooled over all texts, and between the means of systems. The
    number of words stands beside the rewards as if it were one, and is partialled out of them.
    Intervals and comparisons draw items and systems anew (arXiv 2104.00054).

    Args:
        source: A file of rated texts (`textenv.benchmark.agreement.rating_files` tells the layouts)
            or its rows: mappings with `response`, `references`, `prompt` and ratings; or with
            `chosen` and `rejected`, or `response_a`, `response_b` and a preference.
        reward: One reward or several, as `load_reward` takes them; a mapping names them. A mapping
            that is one reward goes into a list.
        human: Columns with ratings, higher is better. "a,b" are two annotators of one rating. For
            preferences the column that says "a", "b" or "tie"; none is needed for `chosen` and
            `rejected`.
        item: Column that is equal for texts that answer the same; by default "item" or the prompt.
        system: Column with the writer of a text; by default "system", if there is one.
        level: Level that rewards are ordered and compared at: "within", "pooled" or "systems"; by
            default within items, where these have three texts or more on average, else pooled.
        resamples: Number of resamples.
        seed: Seed of the resampling.
        on_progress: Function that is called with the steps done, their total, and the next one.

    Raises:
        ConfigError: The source cannot be read or lacks a column.
        RewardError: A reward cannot score the texts.
    """
    rows = read_rated_rows(Path(source)) if isinstance(source, str | Path) else list(source)
    name = Path(source).name if isinstance(source, str | Path) else "rows"
    specs = _named(reward)
    columns = [human] if isinstance(human, str) else list(human)
    report = on_progress or (lambda done, total, name: None)
    if hold_preferences(rows, columns):
        preferences = make_preferences(rows, columns[0] if columns else None, item)
        return judge_preferences(preferences, specs, name, resamples, seed, report)
    ratings = make_ratings(rows, columns, item, system)
    return _judge_ratings(ratings, specs, name, level, resamples, seed, report)


def _named(reward: Any) -> dict[str, RewardSpec]:
    if isinstance(reward, Mapping):
        named = dict(reward)
    else:
        named = name_rewards([reward] if isinstance(reward, str) or callable(reward) else reward)
    if not named:
        raise ConfigError("Name at least one reward.")
    if LENGTH in named:
        raise ConfigError(f"'{LENGTH}' always stands beside the rewards; call yours differently.")
    return named


def _judge_ratings(
    ratings: Ratings,
    specs: Mapping[str, RewardSpec],
    source: str,
    level: Level | None,
    resamples: int,
    seed: int,
    report: OnProgress,
) -> Agreement:
    layout = ratings.layout
    chosen = level or _choose_level(layout)
    if chosen not in LEVELS:
        raise ConfigError(f"There is no level '{chosen}'. There are: {', '.join(LEVELS)}.")
    total = len(specs) + len(ratings.human) * (len(specs) + 1)
    scores, times = score_texts(specs, ratings.episodes, total, report)
    is_scored = ~np.any([np.isnan(values) for values in scores.values()], axis=0)
    scores = {name: np.where(is_scored, values, np.nan) for name, values in scores.items()}
    resampler = Resampler(layout, resamples, seed)
    means = {name: _mean(table) for name, table in ratings.human.items()}
    lengths = {name: resampler.correlate(scores[name], scores[LENGTH]) for name in specs}
    judged: list[RatingAgreement] = []
    for name, table in ratings.human.items():
        done = len(specs) + len(judged) * len(scores)
        judged.append(
            _judge_rating(
                name,
                table,
                scores,
                lengths,
                resampler,
                chosen,
                lambda step, what, done=done: report(done + step, total, what),  # type: ignore[misc]
            )
        )
    between = tuple(
        (a, b, _or_none(resampler.correlate(means[a], means[b]).get(chosen)))
        for a, b in combinations(means, 2)
    )
    found = Agreement(
        source=source,
        verdict="",
        rewards={name: describe_reward(spec) for name, spec in specs.items()},
        n_texts=int(is_scored.sum()),
        n_items=layout.n_items,
        n_systems=None if layout.systems is None else len(layout.system_names),
        left_out=ratings.left_out + int((~is_scored).sum()),
        level=chosen,
        ratings=tuple(judged),
        between_ratings=between,
        preferences=(),
        preference_comparisons=(),
        strengths=(),
        resamples=resamples,
        ms_per_text=times,
    )
    return write_verdict(found)


def _choose_level(layout: Layout) -> Level:
    return "within" if len(layout.items) >= _FEW_TEXTS * layout.n_items else "pooled"


def _judge_rating(
    rating: str,
    table: FloatArray,
    scores: Mapping[str, FloatArray],
    lengths: Mapping[str, dict[Level, Correlations]],
    resampler: Resampler,
    level: Level,
    report: Callable[[int, str], None],
) -> RatingAgreement:
    human = _mean(table)
    human_p = resampler.system_p_values(human)
    length = scores[LENGTH]
    length_and_human = resampler.correlate(length, human)
    if level not in length_and_human:
        raise ConfigError(
            "No item has two texts: name a column that is equal for texts that answer the same, "
            "with --item, or compare over all texts, with --level pooled."
            if level == "within"
            else "Fewer than three systems are known: name their column with --system."
        )
    found, drawn = [], {}
    for step, (name, values) in enumerate(scores.items()):
        report(step, f"{name}, {rating}")
        levels = length_and_human if name == LENGTH else resampler.correlate(values, human)
        with_length = lengths.get(name)
        if with_length is not None and np.isnan(human).any():
            # The three correlations of a partial one are of the same texts.
            rated_length = np.where(np.isnan(human), np.nan, length)
            with_length = resampler.correlate(values, rated_length)
        drawn[name] = levels[level].kendall
        accuracy = resampler.pairwise_accuracy(values, human)
        p_values = resampler.system_p_values(values)
        found.append(
            RewardAgreement(
                name,
                {
                    key: _rank_agreement(
                        levels[key],
                        None if with_length is None else with_length[key],
                        length_and_human[key],
                    )
                    for key in levels
                },
                None if accuracy is None else estimate_or_none(accuracy[0]),
                None if accuracy is None else accuracy[1],
                None
                if p_values is None or human_p is None
                else estimate_or_none(resampler.soft_accuracy(p_values, human_p)),
            )
        )
    found.sort(key=lambda one: -_height(one.levels[level].kendall))
    return RatingAgreement(
        rating,
        table.shape[1],
        tuple(found),
        _judge_annotators(table, resampler),
        compare_rewards([one.reward for one in found], drawn),
    )


def _judge_annotators(table: FloatArray, resampler: Resampler) -> RewardAgreement | None:
    """Compares each annotator with the mean of the others; returns the means over annotators."""
    if table.shape[1] < 2:
        return None
    alone = []
    for k in range(table.shape[1]):
        others = _mean(np.delete(table, k, axis=1))
        if (~np.isnan(table[:, k] + others)).sum() > 1:
            accuracy = resampler.pairwise_accuracy(table[:, k], others)
            alone.append((resampler.correlate(table[:, k], others), accuracy))
    if not alone:
        return None
    levels = {
        key: RankAgreement(
            estimate_or_none(_average([found[key].kendall for found, _ in alone])),
            estimate_or_none(_average([found[key].spearman for found, _ in alone])),
            None,
            None,
            min(found[key].n for found, _ in alone),
        )
        for key in alone[0][0]
    }
    right = [accuracy[0] for _, accuracy in alone if accuracy is not None]
    return RewardAgreement(
        "an annotator", levels, estimate_or_none(_average(right)) if right else None, None, None
    )


def _rank_agreement(
    found: Correlations, with_length: Correlations | None, length_and_human: Correlations
) -> RankAgreement:
    partial: dict[str, Estimate | None] = {}
    for name in ("kendall", "spearman"):
        parts = [getattr(one, name) for one in (found, with_length, length_and_human) if one]
        if with_length is not None:
            value = float(without(*(np.array(part.value) for part in parts)))
            resampled = without(*(part.resampled for part in parts))
            partial[name] = estimate_or_none(Sample(value, resampled))
    return RankAgreement(
        estimate_or_none(found.kendall),
        estimate_or_none(found.spearman),
        partial.get("kendall"),
        partial.get("spearman"),
        found.n,
    )


def _mean(table: FloatArray) -> FloatArray:
    """Returns the mean over annotators (n,), of those who rated the text."""
    return mean_of_defined(table, np.ones(table.shape[1]))


def _average(samples: Sequence[Sample]) -> Sample:
    values = np.array([sample.value for sample in samples])
    resampled = np.stack([sample.resampled for sample in samples], axis=-1)
    ones = np.ones(len(samples))
    return Sample(float(mean_of_defined(values, ones)), mean_of_defined(resampled, ones))


def _height(estimate: Estimate | None) -> float:
    return -2.0 if estimate is None else estimate.mean


def _or_none(found: Correlations | None) -> float | None:
    return None if found is None or np.isnan(found.kendall.value) else found.kendall.value
