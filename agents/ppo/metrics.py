"""What is logged of a rollout, of all processes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.ppo.distributed import Ranks
from agents.ppo.rollout import find_equal_groups
from agents.ppo.text_stats import TextStats, count_texts
from textenv.rollout import PlayedEpisode


class TurnCounts(NamedTuple):
    """Numbers of the agent's turns."""

    ended: int = 0  # those that it ended itself
    empty: int = 0  # those of them that hold nothing but the end
    total: int = 0


@dataclass(frozen=True)
class RolloutStats:
    """Statistics of a rollout."""

    n_tokens: int  # Number of tokens that the agent wrote
    n_played: int  # Number of episodes, scored or not
    n_invalid: int  # Number of episodes that could not be scored
    returns: NDArray[np.float64]  # (n,) undiscounted returns of the episodes to learn from
    lengths: NDArray[np.float64]  # (n,) number of tokens that the agent wrote in each of them
    components: Sequence[Mapping[str, float]]  # Components of the reward of each of them
    turns: TurnCounts  # Turns of the agent
    # Number of groups whose rewards are all equal, and of all groups; groups have two or more.
    groups: tuple[int, int]
    texts: TextStats = field(default_factory=TextStats)  # What their texts repeat

    def metrics(self) -> dict[str, float]:
        """Returns the numbers to log; a component that an episode lacks counts as 0."""
        names = {name: None for found in self.components for name in found}
        metrics = {
            **{
                f"rollout/{name}": float(np.mean([c.get(name, 0.0) for c in self.components]))
                for name in names
            },
            "rollout/invalid_episodes": self.n_invalid,
            "rollout/reward_mean": float(self.returns.mean()),
            "rollout/reward_std": float(self.returns.std()),
            "rollout/response_tokens": float(self.lengths.mean()),
            "rollout/response_tokens_std": float(self.lengths.std()),
            "rollout/response_tokens_max": float(self.lengths.max()),
        }
        turns = self.turns
        for name, (some, all_of_them) in {
            "ended_share": (turns.ended, turns.total),
            "empty_share": (turns.empty, turns.total),
            "equal_groups": self.groups,
        }.items():
            if all_of_them:
                metrics[f"rollout/{name}"] = some / all_of_them
        return metrics | self.texts.metrics()


def gather_stats(
    ranks: Ranks,
    episodes: Sequence[PlayedEpisode],
    played: Sequence[PlayedEpisode],
    n_tokens: int,
    end_id: int | None = None,
    group_size: int = 1,
) -> RolloutStats:
    """Gathers the statistics of all processes.

    Args:
        ranks: Processes of the run.
        episodes: Episodes to learn from, in this process.
        played: All episodes that were played, those that were replaced by others included.
        n_tokens: Number of tokens that the agent wrote in them.
        end_id: Token that ends a turn; None where it is not known.
        group_size: Episodes of a group.
    """
    returns = [episode.reward for episode in episodes]
    lengths = [episode.action_mask.sum() for episode in episodes]
    summaries = np.array([returns, lengths], np.float64)
    components = [episode.components for episode in episodes if episode.components]
    n_invalid = sum(episode.invalid_reason is not None for episode in played)
    turns = count_turns(episodes, end_id)
    groups = (0, 0)
    if group_size > 1:
        groups = len(find_equal_groups(played)), len({episode.group for episode in played})
    counts = (n_tokens, len(played), n_invalid, *turns, *groups)
    texts = count_texts(episodes, group_size)
    everyones = ranks.gather((counts, summaries, components, texts))
    sums = [sum(column) for column in zip(*(found for found, *_ in everyones), strict=True)]
    all_returns, all_lengths = np.concatenate([found for _, found, *_ in everyones], axis=1)
    return RolloutStats(
        n_tokens=sums[0],
        n_played=sums[1],
        n_invalid=sums[2],
        returns=all_returns,
        lengths=all_lengths,
        components=[found for _, _, part, _ in everyones for found in part],
        turns=TurnCounts(*sums[3:6]),
        groups=(sums[6], sums[7]),
        texts=sum((found for *_, found in everyones), TextStats()),
    )


def count_turns(episodes: Sequence[PlayedEpisode], end_id: int | None) -> TurnCounts:
    """Counts the agent's turns.

    Args:
        episodes: Episodes.
        end_id: Token that ends a turn; None where it is not known, and no turn is counted.
    """
    if end_id is None:
        return TurnCounts()
    ended = empty = total = 0
    for episode in episodes:
        ours = np.concatenate([[False], episode.action_mask, [False]])
        first = np.flatnonzero(~ours[:-1] & ours[1:])
        last = np.flatnonzero(ours[:-1] & ~ours[1:]) - 1
        is_ended = episode.input_ids[last] == end_id
        ended += int(is_ended.sum())
        empty += int((is_ended & (first == last)).sum())
        total += len(last)
    return TurnCounts(ended, empty, total)
