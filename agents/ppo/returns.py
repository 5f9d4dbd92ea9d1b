"""The scale of returns in a run, and bounds for those that stand far outside of all others."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd

from agents.ppo.advantages import ROUNDING
from textenv.rollout import PlayedEpisode

_log = logging.getLogger(__name__)
_FAR = 10.0  # distances from the median, in mean distances of the others
_WARN = 10.0  # times as far as what counts: worth a warning
_ACCIDENTS = 2  # so many extreme returns are taken for accidents; the next for what the task pays
_LEAST = 8  # fewer returns than this show no spread


_MOMENTS = ("mean", "var", "count")


class ReturnScale:
    """The running moments of a run's returns, and how far from the median one counts.

    Attributes:
        moments: Moments of the returns so far, each held within the bounds of its rollout.
        bounds: Least and largest return that counts in the latest rollout.
    """

    def __init__(self) -> None:
        # SB3's prior of a few observations would be the whole deviation of equal returns.
        self.moments = RunningMeanStd(epsilon=0.0, shape=())
        self.bounds = (-np.inf, np.inf)
        self._limits = ReturnBounds()

    def see(self, returns: NDArray[np.float64]) -> None:
        """Takes note of the returns of a rollout, (n,), of all processes."""
        self.bounds = self._limits.see(returns)
        self.moments.update(np.clip(returns, *self.bounds))

    @property
    def std(self) -> float:
        """Running standard deviation; 1 where returns have not differed by more than rounding."""
        std = float(np.sqrt(self.moments.var))
        return std if std > ROUNDING * abs(float(self.moments.mean)) else 1.0

    def bound(self, episodes: Sequence[PlayedEpisode]) -> list[PlayedEpisode]:
        """Returns episodes of the latest rollout with their returns held within the bounds."""
        return [replace(e, rewards=bound_returns(e.rewards, self.bounds)) for e in episodes]

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for a checkpoint, as plain numbers."""
        moments = {name: float(getattr(self.moments, name)) for name in _MOMENTS}
        return moments | self._limits.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        for name in _MOMENTS:
            setattr(self.moments, name, state[name])
        self._limits.load_state_dict(state)


class ReturnBounds:
    """How far from the median the return of an episode counts.

    One return of 1e6 among returns below 1 would start the critic at 1e6 / n, from where it cannot
    come down in a whole run, since each step of Adam moves it by the learning rate; it would make
    the running deviation of returns 1e6 / sqrt(n); and all other advantages of the rollout would be
    whitened to nothing. So returns are winsorised (Dixon, 1960; Huber & Ronchetti, "Robust
    Statistics", 2009): one that lies further from the median than ten times the mean distance of
    the others counts as if it lay there. The others are seven eighths of the rollout, nearest to
    the median. Of the distances of all rollouts so far the largest counts, or 1 while they are 0:
    once nearly all succeed, a failure is no outlier.

    Rare returns of that size may be what the task pays: a game that is hardly ever won. So two of
    them in a run are taken for accidents, and from the third on that size is within the bounds.
    Returns of ordinary runs never reach the bounds, which then change nothing.

    Attributes:
        extremes: Largest distances from the median so far, the smallest of them first.
        spread: Largest mean distance of the others in a rollout so far.
    """

    def __init__(self) -> None:
        self.extremes = [0.0] * (_ACCIDENTS + 1)
        self.spread = 0.0

    def see(self, returns: NDArray[np.float64]) -> tuple[float, float]:
        """Takes note of the returns of a rollout; returns the bounds of what counts.

        Args:
            returns: (n,) returns of all episodes, of all processes.
        """
        if len(returns) < _LEAST:
            return -np.inf, np.inf
        median = float(np.median(returns))
        distances = np.sort(np.abs(returns - median))
        others = distances[: len(distances) - max(1, len(distances) // 8)]
        self.spread = max(self.spread, float(others.mean()))
        spread = self.spread or 1.0
        largest = sorted([*self.extremes, *distances[-len(self.extremes) :].tolist()])
        self.extremes = largest[-len(self.extremes) :]
        limit = max(_FAR * spread, self.extremes[0])
        if distances[-1] > _WARN * limit:
            worst = float(returns[np.abs(returns - median).argmax()])
            _log.warning(
                "A return of %g stands far outside of the others (median %g, mean distance from it "
                "%g) and counts as %g. If it is an error, mend the reward, or bound it: {'clip': "
                "{'of': ..., 'low': ..., 'high': ...}}.",
                *(worst, median, spread, float(np.clip(worst, median - limit, median + limit))),
            )
        return median - limit, median + limit

    def state_dict(self) -> dict[str, Any]:
        """Returns the state for a checkpoint, as plain numbers."""
        return {"extremes": self.extremes, "spread": self.spread}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.extremes, self.spread = list(state["extremes"]), state["spread"]


def bound_returns(rewards: NDArray[np.float32], bounds: tuple[float, float]) -> NDArray[np.float32]:
    """Returns the rewards of an episode's tokens with their sum held within bounds.

    What is too much is taken off the token that was paid most of it.

    Args:
        rewards: (length,) what each token was paid.
        bounds: The least and the largest sum.
    """
    total = rewards.sum(dtype=np.float64)
    excess = total - np.clip(total, *bounds)
    if not excess:
        return rewards
    held = rewards.copy()
    at = int(np.argmax(rewards * np.sign(excess)))
    # Rounding of the large reward would outlive it: the sum of the others is what counts.
    others = np.delete(rewards, at).sum(dtype=np.float64)
    held[at] = np.clip(total, *bounds) - others
    return held
