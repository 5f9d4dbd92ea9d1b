"""Groups of slots that play the same examples: k samples of each prompt."""

from __future__ import annotations

from collections.abc import Callable

from textenv.examples import Example


class GroupDraws:
    """Has the slots of a group play the same examples in the same order, each at its own pace.

    Args:
        n_slots: The number of slots.
        group_size: How many neighbouring slots make a group.
    """

    def __init__(self, n_slots: int, group_size: int = 1) -> None:
        self.group_size = group_size
        self._n_played = [0] * n_slots
        self._n_dropped = [0] * n_slots
        self._drawn: list[list[Example]] = [[] for _ in range(n_slots)]

    def next(self, slot: int, draw: Callable[[int], Example]) -> Example:
        """Returns a slot's next example; `draw` draws one with the group's first slot's numbers."""
        first = slot - slot % self.group_size
        drawn, members = self._drawn[first], slice(first, first + self.group_size)
        place = self._n_played[slot] - self._n_dropped[first]
        if place == len(drawn):
            drawn.append(draw(first))
        example = drawn[place]
        self._n_played[slot] += 1
        if min(self._n_played[members]) > self._n_dropped[first]:
            del drawn[0]
            self._n_dropped[first] += 1
        return example
