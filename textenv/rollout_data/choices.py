"""Which rollouts are worth learning from: the best, pairs that differ, good and bad ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest

from textenv.errors import ConfigError
from textenv.examples import Turn
from textenv.rollout_data.rows import Rollout, by_prompt

ROUNDING = 1e-9  # sums of weights may miss a number by a last digit


@dataclass(frozen=True)
class Pair:
    """Two answers to the same prompt, of which one earned more."""

    chosen: Rollout
    rejected: Rollout

    @property
    def margin(self) -> float:
        """How much more it earned."""
        return self.chosen.reward - self.rejected.reward


def choose_best(
    rollouts: Sequence[Rollout], k: int = 1, *, top: float = 1.0, min_reward: float | None = None
) -> list[Rollout]:
    """Chooses the k best different answers to each prompt; of equal rewards the first come first.

    Args:
        rollouts: Rollouts of any number of prompts.
        k: Number of answers to each prompt, from 1 up.
        top: Share of the chosen ones that is kept, those with the highest rewards, in (0, 1].
        min_reward: Least reward of an answer; None for none.

    Returns:
        The chosen ones, prompt by prompt.
    """
    best = [
        rollout
        for group in by_prompt(rollouts)
        for rollout in _ranked(_different(group))[:k]
        if min_reward is None or rollout.reward >= min_reward - ROUNDING
    ]
    n = max(1, math.ceil(top * len(best) - ROUNDING))  # of a tiny share the best one is left
    kept = sorted(range(len(best)), key=lambda i: -best[i].reward)[:n]
    return [best[i] for i in sorted(kept)]


def choose_pairs(rollouts: Sequence[Rollout], k: int = 1, *, margin: float = 0.0) -> list[Pair]:
    """Chooses the k pairs of answers to each prompt whose rewards differ most.

    With one pair that is the best against the worst. Answers that earn the same are no pair.

    Args:
        rollouts: Rollouts of any number of prompts.
        k: Most pairs of each prompt, from 1 up.
        margin: Least difference of the rewards.
    """
    pairs = []
    for group in by_prompt(rollouts):
        ranked = _ranked(_different(group))
        found = [Pair(*two) for two in combinations(ranked, 2)]
        found = [p for p in found if p.margin > ROUNDING and p.margin >= margin - ROUNDING]
        # Among equal margins: the better answer, then the worse one; the sort is stable.
        found.sort(key=lambda pair: (-pair.margin, -pair.chosen.reward))
        pairs += found[:k]
    return pairs


def count_alike(rollouts: Sequence[Rollout]) -> int:
    """Counts the prompts whose answers, two or more, all earn the same."""
    groups = [[rollout.reward for rollout in group] for group in by_prompt(rollouts)]
    return sum(len(group) > 1 and max(group) - min(group) <= ROUNDING for group in groups)


def spread_over_prompts(rollouts: Sequence[Rollout]) -> list[Rollout]:
    """Returns rollouts with the first of each prompt before the second of any.

    KTO estimates a KL divergence on prompts with the answers to their neighbours, which should be
    answers to other prompts.
    """
    in_turn = zip_longest(*by_prompt(rollouts))
    return [rollout for one_each in in_turn for rollout in one_each if rollout is not None]


def find_threshold(rewards: Sequence[float], quantile: float = 0.5) -> float:
    """Finds the reward from which on an answer counts as good.

    Of all rewards that leave some answers on both sides, the one whose share of answers below it is
    nearest to the quantile; of two equally near ones the lower. So rewards of 0 and 1 are told
    apart, however many there are of each.

    Args:
        rewards: Rewards of all answers.
        quantile: Share of answers that should count as bad, in (0, 1).

    Raises:
        ConfigError: All rewards are the same.
    """
    ordered = sorted(rewards)
    n = len(ordered)
    # Of equal rewards the first one's place counts, which is the number below them.
    below = {ordered[i]: i / n for i in range(1, n) if ordered[i] - ordered[i - 1] > ROUNDING}
    if not below:
        raise ConfigError(
            "All answers earn the same, so none is good or bad. Sample others, or score them by "
            "another reward."
        )
    return min(sorted(below), key=lambda cut: abs(below[cut] - quantile))


def _ranked(group: Sequence[Rollout]) -> list[Rollout]:
    """Returns rollouts from the best to the worst; of equal rewards the first comes first."""
    return sorted(group, key=lambda rollout: -rollout.reward)


def _different(group: Sequence[Rollout]) -> list[Rollout]:
    """Leaves out rollouts in which the same was said as in an earlier one."""
    first: dict[tuple[Turn, ...], Rollout] = {}
    for rollout in group:
        first.setdefault(rollout.conversation.said, rollout)
    return list(first.values())
