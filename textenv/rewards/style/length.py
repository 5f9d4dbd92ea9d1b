"""Length of a response within a window."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from textenv.errors import ConfigError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.scripts import fold
from textenv.rewards.lexical.words import marks_dropped
from textenv.rewards.options import check_choice, check_number

_UNITS = ("words", "characters")


class Length:
    """1 for a length within a window, falling in a line to 0 at `margin` beyond it; in [0, 1].

    Where there is a least length, an empty response gets 0 whatever the margin. Words stand between
    spaces; each character of a script without spaces is one, and so is an emoji. Component:
    "n_words" or "n_characters". Not resisted: any text of that length will do, so gate another
    reward with it.

    Args:
        least: Shortest length that gets 1.
        most: Longest length that gets 1; None for no limit.
        unit: "words" or "characters".
        margin: Distance from the window, in units, at which the total is 0; 0 for at once.

    Raises:
        ConfigError: The window holds no length, or every one, or an option is not valid.
    """

    name = "length"

    def __init__(
        self,
        least: float = 0,
        most: float | None = None,
        unit: str = "words",
        margin: float = 10,
    ) -> None:
        check_choice(self.name, "unit", unit, _UNITS)
        self.least = check_number(self.name, "least", least)
        self.most = inf if most is None else check_number(self.name, "most", most)
        self.margin = check_number(self.name, "margin", margin)
        self.unit = unit
        if self.margin < 0:
            raise ConfigError(f"'margin' of reward '{self.name}' is {margin}; use 0 or more.")
        if not 0 <= self.least <= self.most or (self.least == 0 and self.most == inf):
            problem = "is missing" if self.least == 0 else f"goes from {least} to {most}"
            raise ConfigError(
                f"The window of reward '{self.name}' {problem}: give 'least', 'most' or both, such "
                "as {'least': 10, 'most': 40}."
            )

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        texts = [episode.response for episode in episodes]
        if self.unit == "words":
            n = np.array([len(marks_dropped(text).split()) for text in texts], np.float64)
        else:
            n = np.array([len(fold(text).strip()) for text in texts], np.float64)
        total = np.ones(len(episodes))
        for off, margin in (
            (self.least - n, min(self.margin, self.least)),
            (n - self.most, self.margin),
        ):
            beyond = np.minimum(1.0, off / margin) if margin else 1.0
            total -= np.where(off > 0, beyond, 0.0)
        return RewardResult(total, {f"n_{self.unit}": n})
