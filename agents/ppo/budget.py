"""What a call of `learn` may spend: tokens or episodes, and seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from agents.ppo.distributed import Ranks
from textenv.errors import ConfigError


class Budget:
    """A number of tokens or of episodes, with a limit in seconds beside it or without one.

    Args:
        total: Tokens or episodes that may be spent.
        count: Returns how many of them are spent.
        max_seconds: Time limit, in seconds.
        ranks: Processes of the run; the slowest one's time counts.
    """

    def __init__(
        self, total: int, count: Callable[[], int], max_seconds: float | None, ranks: Ranks
    ) -> None:
        self.total = total
        self._count = count
        self._max_seconds = max_seconds or float("inf")
        self._ranks = ranks

    @property
    def spent(self) -> int:
        """Tokens or episodes that are spent, at most all of them."""
        return min(self._count(), self.total)

    def iterations(self) -> Iterator[float]:
        """Yields once for each iteration that fits: the share of the budget that is left.

        The time runs from the first one on. None begins that would pass the limit, if it took as
        long as the one before. In a run of several processes all of them must iterate.
        """
        started_at = time.perf_counter()

        def seconds() -> float:
            longest: float = max(self._ranks.gather(time.perf_counter() - started_at))
            return longest

        while self._count() < self.total:
            began_at = seconds()
            yield 1 - max(self._count() / self.total, min(1.0, began_at / self._max_seconds))
            now = seconds()
            if now + (now - began_at) > self._max_seconds:
                return


def check_budget(total_timesteps: object, total_episodes: object) -> None:
    """Checks that `learn` is given exactly one budget, a whole number.

    Raises:
        ConfigError: It is not.
    """
    budgets: dict[str, Any] = {
        "total_timesteps": total_timesteps,
        "total_episodes": total_episodes,
    }
    given = {name: budget for name, budget in budgets.items() if budget is not None}
    if len(given) != 1:
        raise ConfigError("Give learn() either total_timesteps or total_episodes.")
    ((name, budget),) = given.items()
    is_number = isinstance(budget, int | float | np.number) and not isinstance(budget, bool)
    if not is_number or budget < 0 or int(budget) != budget:
        raise ConfigError(f"{name} must be a whole number from 0 up, not {budget!r}.")
