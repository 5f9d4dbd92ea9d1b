"""What an agreement says, in a sentence or two that anyone understands."""

from __future__ import annotations

from dataclasses import replace

from textenv.benchmark.agreement.records import (
    LENGTH,
    Agreement,
    Level,
    RatingAgreement,
    RewardAgreement,
    RewardComparison,
)
from textenv.benchmark.statistics import Estimate

LEVEL_WORDS: dict[Level, str] = {
    "within": "within items",
    "pooled": "over all texts",
    "systems": "between systems",
}
_ALPHA = 0.05
_MOST_NAMED = 5


def write_verdict(found: Agreement) -> Agreement:
    """Returns the agreement with its verdict."""
    if found.preferences:
        return replace(found, verdict=_of_preferences(found))
    return replace(found, verdict="\n".join(_of_rating(one, found) for one in found.ratings))


def _of_rating(rating: RatingAgreement, found: Agreement) -> str:
    where = LEVEL_WORDS[found.level]
    rewards = [one for one in rating.rewards if one.reward != LENGTH]
    best = rewards[0]
    tau = best.levels[found.level].kendall
    if tau is None:
        return f"{rating.rating}: no reward orders the texts at all {where}."
    if tau.ci95[0] <= 0:
        text = (
            f"{rating.rating}: no reward is shown to agree with people {where}; the best, "
            f"{best.reward}, has Kendall's tau {write_estimate(tau)}."
        )
    else:
        text = (
            f"{rating.rating}: {best.reward} agrees with people best {where} (Kendall's tau "
            f"{write_estimate(tau)}){_rivals(best.reward, rating.comparisons, len(rewards))}."
        )
    against = [one.reward for one in rewards if _is_against(one, found.level)]
    if against:
        text += f" Against people's order: {', '.join(against)}."
    length = next(one for one in rating.rewards if one.reward == LENGTH)
    alone = length.levels[found.level].kendall
    if alone is not None:
        text += f" The number of words alone: {write_estimate(alone)}."
    if rating.annotators is not None:
        humans = rating.annotators.levels[found.level].kendall
        if humans is not None:
            text += f" One annotator beside the others: {write_estimate(humans)}."
    return text


def _of_preferences(found: Agreement) -> str:
    rewards = [one for one in found.preferences if one.reward != LENGTH]
    best = rewards[0]
    length = next(one for one in found.preferences if one.reward == LENGTH)
    text = f"{best.reward} pays the preferred text more in {_percent(best.accuracy)} of the pairs"
    if best.accuracy.ci95[0] <= 0.5:
        text = f"No reward is shown to be better than a coin: {text}"
    text += _rivals(best.reward, found.preference_comparisons, len(rewards))
    text += f". The longer text alone: {_percent(length.accuracy)}."
    if found.strengths:
        first = found.strengths[0]
        text += (
            f" People like {first.system} best: it would be preferred to an average one in "
            f"{_percent(first.chance)} of the pairs."
        )
    return text


def _rivals(best: str, comparisons: tuple[RewardComparison, ...], n: int) -> str:
    """Says which rewards cannot be told apart from the best one."""
    if n < 2:
        return ""
    equals = [
        pair.second if pair.first == best else pair.first
        for pair in comparisons
        if best in (pair.first, pair.second) and pair.p_holm >= _ALPHA
    ]
    equals = [name for name in equals if name != LENGTH]
    if not equals:
        return ", better than every other reward"
    if len(equals) > _MOST_NAMED:
        return f", not told apart from {len(equals)} of the {n - 1} others"
    return f", not told apart from {', '.join(equals)}"


def _is_against(one: RewardAgreement, level: Level) -> bool:
    tau = one.levels[level].kendall
    return tau is not None and tau.ci95[1] < 0


def write_estimate(estimate: Estimate) -> str:
    """Writes a coefficient with its interval, in two decimals."""
    # Adding 0 takes the sign off a negative zero.
    mean, low, high = (round(x, 2) + 0.0 for x in (estimate.mean, *estimate.ci95))
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _percent(estimate: Estimate) -> str:
    low, high = estimate.ci95
    return f"{100 * estimate.mean:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
