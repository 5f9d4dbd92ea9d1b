"""A reward from a plain function that gives one number an episode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from textenv.errors import ConfigError, RewardError
from textenv.examples import Episode
from textenv.rewards.base import Reward, RewardResult


def from_function(
    function: Callable[[Sequence[Episode]], Iterable[float]], name: str | None = None
) -> Reward:
    """Makes a reward from a function that gives one number an episode.

    Args:
        function: Takes a batch of finished episodes, returns their scores, in order.
        name: Names the reward and its component; by default the function's name.

    Raises:
        ConfigError: `function` cannot be called.
    """
    if not callable(function):
        raise ConfigError(f"from_function takes a function of episodes, not {function!r}.")
    return _FunctionReward(name or str(getattr(function, "__name__", "reward")), function)


@dataclass(frozen=True)
class _FunctionReward:
    name: str
    function: Callable[[Sequence[Episode]], Iterable[float]] = field(repr=False)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        scores = self.function(episodes)
        try:
            array = scores if isinstance(scores, np.ndarray) else np.array(list(scores))
            total = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise RewardError(
                f"Reward '{self.name}' returned {type(scores).__name__}; return a list or an array "
                "with one number an episode."
            ) from error
        return RewardResult(total, {self.name: total})
