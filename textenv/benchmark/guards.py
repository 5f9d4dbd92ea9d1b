"""Which guard of the library mends a reward that pays for the wrong texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from textenv.benchmark.results import Guard
from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards import load_reward
from textenv.rewards.base import FloatArray, call_reward

GUARDS = ("prose", "grounding", "novelty", "repetition", "distinct", "negation_agreement")
_KEPT = 0.9  # what references have to keep under a guard


def find_guard(
    written: Sequence[Episode],
    scores: FloatArray,
    gold: Sequence[Episode],
    earned: FloatArray,
    mends: Callable[[float, float], bool],
) -> Guard | None:
    """Returns the guard under which bad texts earn least, of those that mend the reward.

    Args:
        written: (n,) episodes with texts that should not be paid.
        scores: (n,) what the reward pays for them.
        gold: (m,) episodes with references.
        earned: (m,) what the reward pays for them.
        mends: Function that is given what the texts and the references would earn on average, and
            tells whether that is far enough apart.
    """
    found = []
    for name in GUARDS:
        guard = load_reward(name)
        try:
            bad, good = (call_reward(guard, episodes).total for episodes in (written, gold))
        except RewardError:
            continue  # it reads what these examples do not have
        left = float(np.nan_to_num(scores * bad).mean())
        kept = float(np.nan_to_num(earned * good).mean())
        if mends(left, kept) and kept >= _KEPT * np.nan_to_num(earned).mean():
            found.append(Guard(name, left, kept))
    return min(found, key=lambda guard: guard.score, default=None)
