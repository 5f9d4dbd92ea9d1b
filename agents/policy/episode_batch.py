"""Finished episodes as padded tensors, and how they are split for a pass of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from agents.policy.openings import SideBySide, lay_side_by_side
from textenv.errors import UnknownNameError
from textenv.rollout import PlayedEpisode


@dataclass(frozen=True)
class EpisodeBatch:
    """Episodes as tensors, padded on the right.

    Attributes:
        input_ids: (batch, time) int64.
        lengths: (batch,) int64, true lengths.
        action_mask: (batch, time) bool, True where the agent wrote the token.
        rewards: (batch, time) float32, what the environment paid for each token.
        truncated: (batch,) bool, whether the episode was cut off before it could be scored.
        groups: (batch,) int64, equal for episodes of one group.
        logprobs: (batch, time) float32, log-probabilities at sampling, zero off the agent's
            tokens; None unless every episode has them.
        cut_off: (batch,) bool, whether the last turn was cut off by its budget or the episode's
            limit; None where the environment does not tell.
        openings: (batch,) int64, equal for episodes with the same tokens before the agent's
            first; None where that is not known.
        components: (batch, k) float64, the components of the reward that were asked for, NaN where
            an episode has none; None if none were.
    """

    input_ids: Tensor
    lengths: Tensor
    action_mask: Tensor
    rewards: Tensor
    truncated: Tensor
    groups: Tensor
    logprobs: Tensor | None = None
    cut_off: Tensor | None = None
    openings: Tensor | None = None
    components: Tensor | None = None

    def __len__(self) -> int:
        return int(self.lengths.shape[0])

    @cached_property
    def written(self) -> tuple[Tensor, Tensor]:
        """Row and time of each of the agent's tokens, (n_tokens,) each, row by row."""
        row, time = self.action_mask.nonzero(as_tuple=True)
        return row, time

    @cached_property
    def ranks(self) -> Tensor:
        """How many of its row's tokens the agent had written before each of its own, (batch, time).

        -1 or more off its tokens.
        """
        return self.action_mask.cumsum(dim=1) - 1

    def take(self, rows: Tensor) -> EpisodeBatch:
        """Returns the episodes `rows`, padded only to the longest of them."""
        width = int(self.lengths[rows].max())
        return EpisodeBatch(
            self.input_ids[rows, :width],
            self.lengths[rows],
            self.action_mask[rows, :width],
            self.rewards[rows, :width],
            self.truncated[rows],
            self.groups[rows],
            None if self.logprobs is None else self.logprobs[rows, :width],
            None if self.cut_off is None else self.cut_off[rows],
            None if self.openings is None else self.openings[rows],
            None if self.components is None else self.components[rows],
        )

    @cached_property
    def opening_lengths(self) -> Tensor:
        """How many tokens stand before the agent's first, (batch,); all if it wrote none."""
        first = self.action_mask.int().argmax(dim=1)
        return first.where(self.action_mask.any(dim=1), self.lengths)

    @cached_property
    def side_by_side(self) -> SideBySide | None:
        """The episodes with each opening once, or None where that does not make them shorter."""
        if self.openings is None:
            return None
        return lay_side_by_side(self.input_ids, self.lengths, self.openings, self.opening_lengths)

    def micro_batches(self, rows: Tensor, max_tokens: int) -> Iterator[Tensor]:
        """Splits rows, longest first, into groups of at most `max_tokens` tokens with padding.

        A group has at least one episode, however long.
        """
        order = rows[torch.argsort(self.lengths[rows], descending=True, stable=True)]
        start = 0
        while start < len(order):
            longest = int(self.lengths[order[start]])
            stop = start + max(1, max_tokens // longest)
            yield order[start:stop]
            start = stop


def make_batch(
    episodes: Sequence[PlayedEpisode],
    device: torch.device | str = "cpu",
    components: Sequence[str] = (),
) -> EpisodeBatch:
    """Pads episodes to the longest of them.

    Padding is token 0. Nothing reads it, since masks come from the lengths alone.

    Args:
        episodes: The episodes.
        device: Where the tensors are.
        components: Names of the reward's components that are read apart.

    Raises:
        UnknownNameError: No episode has a component of that name.
    """
    n, width = len(episodes), max(len(episode.input_ids) for episode in episodes)
    openings: dict[bytes, int] = {}
    opening_of = np.zeros(n, np.int64)
    input_ids = np.zeros((n, width), np.int64)
    action_mask = np.zeros((n, width), np.bool_)
    rewards = np.zeros((n, width), np.float32)
    drawn = all(episode.logprobs is not None for episode in episodes)
    logprobs = np.zeros((n, width), np.float32)
    for i, episode in enumerate(episodes):
        length = len(episode.input_ids)
        input_ids[i, :length] = episode.input_ids
        action_mask[i, :length] = episode.action_mask
        rewards[i, :length] = episode.rewards
        written = np.flatnonzero(episode.action_mask)
        opening = input_ids[i, : written[0] if len(written) else length].tobytes()
        opening_of[i] = openings.setdefault(opening, len(openings))
        if drawn:
            logprobs[i, :length] = episode.logprobs
    lengths = np.array([len(episode.input_ids) for episode in episodes], np.int64)
    truncated = np.array([episode.truncated for episode in episodes], np.bool_)
    groups = np.array([episode.group for episode in episodes], np.int64)
    arrays = {
        "input_ids": input_ids,
        "lengths": lengths,
        "action_mask": action_mask,
        "rewards": rewards,
        "truncated": truncated,
        "groups": groups,
        "openings": opening_of,
    }
    if drawn:
        arrays["logprobs"] = logprobs
    said = [episode.said for episode in episodes if episode.said is not None]
    if len(said) == n:
        arrays["cut_off"] = np.array([e.stop_reason == "max_new_tokens" for e in said], np.bool_)
    if components:
        known = {name for episode in episodes for name in episode.components}
        for name in components:
            if name not in known:
                raise UnknownNameError("component", name, known)
        rows = [[e.components.get(name, np.nan) for name in components] for e in episodes]
        arrays["components"] = np.array(rows, np.float64)
    return EpisodeBatch(**{key: torch.from_numpy(a).to(device) for key, a in arrays.items()})
