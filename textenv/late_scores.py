"""Scores of finished episodes that arrive while other slots go on."""

from __future__ import annotations

import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import partial
from typing import Any

from textenv.daemon_pool import DaemonPool
from textenv.deadlines import describe_over, reward_limit_s
from textenv.episode import TextCore, final_info
from textenv.errors import DeadlineError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult, name_of

_GRACE_S = 0.2


@dataclass(frozen=True)
class LateScore:
    """What an episode turned out to be worth."""

    total: float  # what the agent is paid; NaN where it could not be scored
    info: dict[str, Any]  # as a step gives it that scores at once


class LateScores:
    """Has one thread score what `TextCore.step` hands over, all that is there at a time."""

    def __init__(self, core: TextCore) -> None:
        self._core = core
        self._pool = DaemonPool(1, "reward")
        self._waiting: list[Episode] = []
        self._running: tuple[list[Episode], Future[RewardResult]] | None = None
        self._until = 0.0  # when the one that runs has to be done
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
            DeadlineError: They take too long. Their thread cannot be interrupted; it is left to
                itself, and ends with the process.
        """
        if self._running is None:
            return []
        episodes, future = self._running
        left_s = self._until - time.monotonic()
        if not (wait or future.done() or left_s < 0):
            return []
        try:
            result = future.result(max(left_s, 0.0))
        except FutureTimeoutError as error:
            if future.done():  # it is the reward's own
                raise
            what = f"reward '{name_of(self._core.reward)}'"
            raise DeadlineError(
                f"{describe_over(what, reward_limit_s())} It was scoring {len(episodes)} episodes, "
                f"of them '{episodes[0].example.id}'. Mend it, or give it more time with "
                "reward_timeout_s=..."
            ) from error
        self._running = None
        self._begin()
        self.n_pending -= len(episodes)
        return [
            LateScore(float(result.total[i]), final_info(episode, result, i))
            for i, episode in enumerate(episodes)
        ]

    def close(self) -> None:
        """Forgets what is pending."""
        if self._running is not None:
            self._running[1].cancel()
        self._pool.close()

    def _begin(self) -> None:
        if self._running is not None or not self._waiting:
            return
        episodes, self._waiting = self._waiting, []
        core = self._core
        # Its own thread says when it waits, and gives up; this one does soon after.
        self._until = time.monotonic() + reward_limit_s() + _GRACE_S
        self._running = episodes, self._pool.submit(partial(core.score, core.reward, episodes))
