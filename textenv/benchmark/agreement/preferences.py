"""Compares rewards with which of two texts people preferred."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from textenv.benchmark.agreement.bradley_terry import win_chances
from textenv.benchmark.agreement.estimates import compare_rewards, estimate, estimate_or_none
from textenv.benchmark.agreement.pairwise import calibrate_ties
from textenv.benchmark.agreement.rank_correlation import (
    FloatArray,
    kendall_of_resamples,
    mean_of_defined,
)
from textenv.benchmark.agreement.ratings import Preferences
from textenv.benchmark.agreement.records import Agreement, PreferenceAgreement, SystemStrength
from textenv.benchmark.agreement.resampling import FEW_SYSTEMS, BoolArray, Sample
from textenv.benchmark.agreement.scores import OnProgress, score_texts
from textenv.benchmark.agreement.verdict import write_verdict
from textenv.benchmark.statistics import Estimate, make_estimate
from textenv.errors import ConfigError
from textenv.rewards.loading import RewardSpec
from textenv.rewards.naming import describe_reward


def judge_preferences(
    data: Preferences,
    specs: Mapping[str, RewardSpec],
    source: str,
    resamples: int,
    seed: int,
    report: OnProgress,
) -> Agreement:
    """Returns how often each reward pays the preferred text more, and how the systems compare.

    Args:
        data: The pairs.
        specs: The rewards by name.
        source: The name of the pairs' file.
        resamples: Number of resamples of the items.
        seed: Seed of the resampling.
        report: Function that is called with the steps done, their total, and the next one.

    Raises:
        ConfigError: In no pair was one text preferred.
        RewardError: A reward cannot score the texts.
    """
    scores, times = score_texts(specs, data.episodes, len(specs), report)
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
    strengths, chances = _measure_strengths(data, kept, weights)
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
                estimate(drawn[name]),
                float((values[is_decided] == 0).mean()),
                None if is_decided.all() else estimate(_mean_sample(with_ties, weights)),
                None if is_decided.all() else threshold,
                _compare_systems(scores[name], data, kept, weights, chances),
            )
        )
    found.sort(key=lambda one: -one.accuracy.mean)
    agreement = Agreement(
        source=source,
        verdict="",
        rewards={name: describe_reward(spec) for name, spec in specs.items()},
        n_texts=2 * int(kept.sum()),
        n_items=len(names),
        n_systems=len(data.system_names) or None,
        left_out=data.left_out + int((~kept).sum()),
        level="within",
        ratings=(),
        between_ratings=(),
        preferences=tuple(found),
        preference_comparisons=compare_rewards([one.reward for one in found], drawn),
        strengths=strengths,
        resamples=resamples,
        ms_per_text=times,
    )
    return write_verdict(agreement)


def _measure_strengths(
    data: Preferences, kept: BoolArray, weights: FloatArray
) -> tuple[tuple[SystemStrength, ...], FloatArray | None]:
    """Returns the systems' strengths, and their chances in sample and resamples, (1 + r, n)."""
    if data.systems is None:
        return (), None
    systems, n = data.systems[kept], len(data.system_names)
    counts = np.vstack([np.ones(len(systems)), weights])
    chances = win_chances(systems, data.preferred[kept], n, counts)
    found = [
        SystemStrength(
            name,
            make_estimate(chances[0, k], chances[1:, k]),
            int((systems == k).any(axis=1).sum()),
        )
        for k, name in enumerate(data.system_names)
    ]
    return tuple(sorted(found, key=lambda one: -one.chance.mean)), chances


def _compare_systems(
    values: FloatArray,
    data: Preferences,
    kept: BoolArray,
    weights: FloatArray,
    chances: FloatArray | None,
) -> Estimate | None:
    """Correlates the systems' mean rewards (2 pairs,) with people's strengths."""
    n = len(data.system_names)
    if data.systems is None or chances is None or n < FEW_SYSTEMS:
        return None
    texts = np.flatnonzero(np.concatenate([kept, kept]))
    wrote = np.eye(n)[data.systems.T.ravel()[texts]]
    counts = np.hstack([np.vstack([np.ones(int(kept.sum())), weights])] * 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (counts * values[texts]) @ wrote / (counts @ wrote)
    is_known = ~np.isnan(means)
    taus = kendall_of_resamples(np.nan_to_num(means), chances, is_known.astype(np.float64))
    return estimate_or_none(Sample(float(taus[0]), taus[1:]))


def _mean_sample(values: FloatArray, weights: FloatArray) -> Sample:
    plain = mean_of_defined(values, np.ones(len(values)))
    return Sample(float(plain), mean_of_defined(values, weights))
