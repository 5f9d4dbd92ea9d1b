"""Scores a response against each of its references and keeps the best score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult

Words = TypeVar("Words")


@dataclass(frozen=True)
class BestOverReferences(Generic[Words]):
    """Scores each response against each of its references, and takes the best.

    A text is split into what `compare` reads: (response, reference), to a score in [0, 1]. A call
    splits a reference once for all samples of its example. What is needed once is not kept: words
    that stay in memory take a third longer than those that are dropped at once.
    """

    name: str
    split: Callable[[str], Words] = field(repr=False)
    compare: Callable[[Words, Words], float] = field(repr=False)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        split, compare = self.split, self.compare
        times = Counter(text for episode in episodes for text in episode.example.references)
        known: dict[str, Words] = {}
        total = np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            response = split(episode.response)
            best = 0.0
            for text in references_of(episode, self.name):
                if times[text] == 1:
                    reference = split(text)
                elif text in known:
                    reference = known[text]
                else:
                    reference = known[text] = split(text)
                best = max(best, compare(response, reference))
            total[i] = best
        return RewardResult(total, {self.name: total})


def references_of(episode: Episode, reward: str) -> tuple[str, ...]:
    """Returns an episode's references; raises a RewardError if it has none."""
    if not episode.example.references:
        raise RewardError(
            f"Reward '{reward}' compares with references, and example '{episode.example.id}' "
            "has none. Give its dataset a reference column, or choose another reward."
        )
    return episode.example.references


def check_lengths(texts: Iterable[str], most_chars: int, reward: str) -> None:
    """Refuses texts that a metric could not hold in memory, or not score in minutes."""
    longest = max(map(len, texts), default=0)
    if longest > most_chars:
        raise RewardError(
            f"Reward '{reward}' takes texts of up to {most_chars:,} characters, and one has "
            f"{longest:,}. Shorten it, or choose a reward such as 'rouge1'."
        )
