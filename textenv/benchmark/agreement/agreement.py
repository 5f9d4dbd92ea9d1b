"""Asks whether rewards agree with people: `textenv.agree` and `textenv rewards agree`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from textenv.benchmark.agreement.pairwise import calibrate_ties
from textenv.benchmark.agreement.rank_correlation import FloatArray, mean_of_defined, without
from textenv.benchmark.agreement.rating_files import read_rated_rows
from textenv.benchmark.agreement.ratings import (
    Layout,
    Preferences,
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
    PreferenceAgreement,
    RankAgreement,
    RatingAgreement,
    RewardAgreement,
    RewardComparison,
)
from textenv.benchmark.agreement.resampling import Correlations, Resampler, Sample
from textenv.benchmark.agreement.verdict import write_verdict
from textenv.benchmark.comparison import bootstrap_p, holm
from textenv.benchmark.statistics import Estimate, make_estimate
from textenv.errors import ConfigError
from textenv.examples import Episode
from textenv.rewards import load_reward
from textenv.rewards.base import call_reward
from textenv.rewards.lexical.rouge import rouge_words
from textenv.rewards.loading import RewardSpec
from textenv.rewards.naming import describe_reward, name_rewards

RESAMPLES = 1_000
_FEW_TEXTS = 3  # texts an item from which rewards are compared within items

OnProgress = Callable[[int, int, str], None]
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

        >>> found = textenv.agree("summeval.jsonl", ["rougeL", "chrf"], "relevance")
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
        return _judge_preferences(preferences, specs, name, resamples, seed, report)
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


def _score(
    specs: Mapping[str, RewardSpec], episodes: Sequence[Episode], total: int, report: OnProgress
) -> tuple[dict[str, FloatArray], dict[str, float]]:
    """Returns the scores (n,) of each reward and of the length, and the time a text took, in ms."""
    scores: dict[str, FloatArray] = {}
    times = {}
    loaded = {name: load_reward(spec) for name, spec in specs.items()}
    for done, (name, reward) in enumerate(loaded.items()):
        report(done, total, name)
        started_at = time.perf_counter()
        result = call_reward(reward, episodes)
        times[name] = 1000 * (time.perf_counter() - started_at) / len(episodes)
        scores[name] = (
            np.where(result.valid, result.total, np.nan)
            if (result.valid is not None)
            else result.total
        )
        if np.isnan(scores[name]).all():
            first = next(iter(result.reasons.values()), "it gave no reason")
            raise ConfigError(f"'{name}' can score none of the texts: {first}")
    scores[LENGTH] = np.array([len(rouge_words(e.response)) for e in episodes], np.float64)
    return scores, times


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
    scores, times = _score(specs, ratings.episodes, total, report)
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
                None if accuracy is None else _estimate(accuracy[0]),
                None if accuracy is None else accuracy[1],
                None
                if p_values is None or human_p is None
                else _estimate(resampler.soft_accuracy(p_values, human_p)),
            )
        )
    found.sort(key=lambda one: -_height(one.levels[level].kendall))
    return RatingAgreement(
        rating,
        table.shape[1],
        tuple(found),
        _judge_annotators(table, resampler),
        _compare([one.reward for one in found], drawn),
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
            _estimate(_average([found[key].kendall for found, _ in alone])),
            _estimate(_average([found[key].spearman for found, _ in alone])),
            None,
            None,
            min(found[key].n for found, _ in alone),
        )
        for key in alone[0][0]
    }
    right = [accuracy[0] for _, accuracy in alone if accuracy is not None]
    return RewardAgreement(
        "an annotator", levels, _estimate(_average(right)) if right else None, None, None
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
            partial[name] = _estimate(Sample(value, resampled))
    return RankAgreement(
        _estimate(found.kendall),
        _estimate(found.spearman),
        partial.get("kendall"),
        partial.get("spearman"),
        found.n,
    )


def _judge_preferences(
    data: Preferences,
    specs: Mapping[str, RewardSpec],
    source: str,
    resamples: int,
    seed: int,
    report: OnProgress,
) -> Agreement:
    scores, times = _score(specs, data.episodes, len(specs), report)
    n = len(data.preferred)
    differences = {name: values[:n] - values[n:] for name, values in scores.items()}
    kept = ~np.any([np.isnan(values) for values in differences.values()], axis=0)
    preferred = data.preferred[kept]
    names, items = np.unique(data.items[kept], return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    weights = counts[:, items].astype(np.float64)
    is_decided = preferred != 0
    if not is_decided.any():
        raise ConfigError("In no pair was one text preferred.")
    found, drawn = [], {}
    for name, all_values in differences.items():
        values = all_values[kept]
        right = np.where(values == 0, 0.5, np.sign(values) == preferred)
        right = np.where(is_decided, right, np.nan)
        threshold, with_ties = calibrate_ties(
            values, preferred, np.full(len(values), 1 / len(values))
        )
        drawn[name] = _mean_sample(right, weights)
        found.append(
            PreferenceAgreement(
                name,
                _certain(drawn[name]),
                float((values[is_decided] == 0).mean()),
                None if is_decided.all() else _certain(_mean_sample(with_ties, weights)),
                None if is_decided.all() else threshold,
            )
        )
    found.sort(key=lambda one: -one.accuracy.mean)
    agreement = Agreement(
        source=source,
        verdict="",
        rewards={name: describe_reward(spec) for name, spec in specs.items()},
        n_texts=2 * int(kept.sum()),
        n_items=len(names),
        n_systems=None,
        left_out=data.left_out + int((~kept).sum()),
        level="within",
        ratings=(),
        between_ratings=(),
        preferences=tuple(found),
        preference_comparisons=_compare([one.reward for one in found], drawn),
        resamples=resamples,
        ms_per_text=times,
    )
    return write_verdict(agreement)


def _compare(names: Sequence[str], drawn: Mapping[str, Sample]) -> tuple[RewardComparison, ...]:
    """Compares all pairs of rewards; p-values are corrected for their number (Holm 1979)."""
    found = []
    for first, second in combinations(names, 2):
        one, other = drawn[first], drawn[second]
        differences = one.resampled - other.resampled
        differences = differences[~np.isnan(differences)]
        value = one.value - other.value
        if np.isnan(value) or not len(differences):
            continue
        found.append(
            (first, second, make_estimate(value, differences), _p_value(value, differences))
        )
    corrected = holm([p for *_, p in found]).tolist()
    return tuple(
        RewardComparison(*parts, float(adjusted))
        for parts, adjusted in zip(found, corrected, strict=True)
    )


def _p_value(value: float, differences: FloatArray) -> float:
    """Returns the two-sided p-value of no difference.

    The bootstrap's own resolves no more than two in the number of resamples, too little for Holm's
    correction of many comparisons. Where no resample lies beyond 0, the normal tail of the
    bootstrap's standard error goes on from there.
    """
    from scipy.stats import norm

    p = bootstrap_p(differences)
    spread = float(differences.std())
    is_clear = differences.min() > 0 or differences.max() < 0
    return min(p, float(2 * norm.sf(abs(value) / spread))) if is_clear and spread > 0 else p


def _mean(table: FloatArray) -> FloatArray:
    """Returns the mean over annotators (n,), of those who rated the text."""
    return mean_of_defined(table, np.ones(table.shape[1]))


def _mean_sample(values: FloatArray, weights: FloatArray) -> Sample:
    plain = mean_of_defined(values, np.ones(len(values)))
    return Sample(float(plain), mean_of_defined(values, weights))


def _average(samples: Sequence[Sample]) -> Sample:
    values = np.array([sample.value for sample in samples])
    resampled = np.stack([sample.resampled for sample in samples], axis=-1)
    ones = np.ones(len(samples))
    return Sample(float(mean_of_defined(values, ones)), mean_of_defined(resampled, ones))


def _estimate(sample: Sample) -> Estimate | None:
    drawn = sample.resampled[~np.isnan(sample.resampled)]
    if np.isnan(sample.value) or not len(drawn):
        return None
    return make_estimate(sample.value, drawn)


def _certain(sample: Sample) -> Estimate:
    found = _estimate(sample)
    assert found is not None
    return found


def _height(estimate: Estimate | None) -> float:
    return -2.0 if estimate is None else estimate.mean


def _or_none(found: Correlations | None) -> float | None:
    return None if found is None or np.isnan(found.kendall.value) else found.kendall.value
