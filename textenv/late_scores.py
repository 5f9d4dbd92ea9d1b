"""Scores of finished episodes that arrive while other slots go on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from textenv.episode import TextCore, final_info
from textenv.examples import Episode
from textenv.rewards.base import RewardResult


@dataclass(frozen=True)
class LateScore:
    """What an episode turned out to be worth."""

    total: float  # what the agent is paid; NaN where it could not be scored
    info: dict[str, Any]  # as a step gives it that scores at once


class LateScores:
    """Has one thread score what `TextCore.step` hands over, all that is there at a time."""

    def __init__(self, core: TextCore) -> None:
        self._core = core
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="reward")
        self._waiting: list[Episode] = []
        self._running: tuple[list[Episode], Future[RewardResult]] | None = None
        self.n_pending = 0  # episodes whose scores have not been taken yet

    def submit(self, episode: Episode) -> None:
        """Has an episode scored."""
        self._waiting.append(episode)
        self.n_pending += 1
        self._begin()

    def take(self, wait: bool = False) -> list[LateScore]:
        """Returns scores that have arrived since the last call, in the order of submission.

        With `wait` there are some, if any are pending.

        Raises:
            RewardError: As the step would have that scores at once.
        """
        if self._running is None or not (wait or self._running[1].done()):
            return []
        episodes, future = self._running
        result = future.result()
        self._running = None
        self._begin()
        self.n_pending -= len(episodes)
        return [
            LateScore(float(result.total[i]), final_info(episode, result, i))
            for i, episode in enumerate(episodes)
        ]

    def close(self) -> None:
        """Forgets what is pending."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        if self._running is not None or not self._waiting:
            return
        episodes, self._waiting = self._waiting, []
        core = self._core
        self._running = episodes, self._pool.submit(core.score, core.reward, episodes)
