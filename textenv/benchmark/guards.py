"""Which guard of the library mends a reward that pays for the wrong texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from textenv.benchmark.results import Guard
from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards import Reward, load_reward
from textenv.rewards.base import FloatArray, call_reward

GUARDS = ("prose", "grounding", "novelty", "repetition", "distinct", "negation_agreement")
_KEPT = 0.9  # what references have to keep under a guard


def find_guard(
    bad: Sequence[tuple[Sequence[Episode], FloatArray]],
    gold: Sequence[Episode],
    earned: FloatArray,
    mends: Callable[[float, float], bool],
) -> Guard | None:
    """Returns the guard under which bad texts earn least, of those that mend the reward.

    Args:
        bad: Episodes with texts that should not be paid, and what the reward pays for them, kind
            by kind.
        gold: (n,) episodes with references.
        earned: (n,) what the reward pays for them.
        mends: Function that is given what texts of a kind and the references would earn on average,
            and tells whether that is far enough apart. It has to be for every kind.
    """
    found = []
    for name in GUARDS:
        guard = load_reward(name)
        try:
            kept = _guarded(guard, gold, earned)
            left = [_guarded(guard, episodes, scores) for episodes, scores in bad]
        except RewardError:
            continue  # it reads what these examples do not have
        keeps = kept >= _KEPT * float(np.nan_to_num(earned).mean())
        if keeps and all(mends(one, kept) for one in left):
            found.append(Guard(name, max(left), kept))
    return min(found, key=lambda guard: guard.score, default=None)


def _guarded(guard: Reward, episodes: Sequence[Episode], scores: FloatArray) -> float:
    """Returns what texts earn on average once their scores are multiplied with a guard's."""
    return float(np.nan_to_num(scores * call_reward(guard, episodes).total).mean())
