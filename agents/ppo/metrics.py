"""What is logged of a rollout, of all processes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.ppo.distributed import Ranks
from agents.ppo.rollout import find_equal_groups
from textenv.rollout import PlayedEpisode


@dataclass(frozen=True)
class RolloutStats:
    """Statistics of a rollout."""

    n_tokens: int  # Number of tokens that the agent wrote
    n_played: int  # Number of episodes, scored or not
    n_invalid: int  # Number of episodes that could not be scored
    returns: NDArray[np.float64]  # (n,) undiscounted returns of the episodes to learn from
    lengths: NDArray[np.float64]  # (n,) number of tokens that the agent wrote in each of them
    components: Sequence[Mapping[str, float]]  # Components of the reward of each of them
    turns: tuple[int, int]  # Number of turns that the agent ended itself, and of all its turns
    # Number of groups whose rewards are all equal, and of all groups; groups have two or more.
    groups: tuple[int, int]

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
        for name, (some, all_of_them) in {
            "ended_share": self.turns,
            "equal_groups": self.groups,
        }.items():
            if all_of_them:
                metrics[f"rollout/{name}"] = some / all_of_them
        return metrics


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
    everyones = ranks.gather((counts, summaries, components))
    sums = [sum(column) for column in zip(*(found for found, *_ in everyones), strict=True)]
    all_returns, all_lengths = np.concatenate([found for _, found, _ in everyones], axis=1)
    return RolloutStats(
        n_tokens=sums[0],
        n_played=sums[1],
        n_invalid=sums[2],
        returns=all_returns,
        lengths=all_lengths,
        components=[found for *_, part in everyones for found in part],
        turns=(sums[3], sums[4]),
        groups=(sums[5], sums[6]),
    )


def count_turns(episodes: Sequence[PlayedEpisode], end_id: int | None) -> tuple[int, int]:
    """Returns how many turns the agent ended itself, and how many it had in all.

    Args:
        episodes: Episodes.
        end_id: Token that ends a turn; None where it is not known, and no turn is counted.
    """
    if end_id is None:
        return 0, 0
    ended = total = 0
    for episode in episodes:
        ours = np.append(episode.action_mask, False)
        last = episode.input_ids[np.flatnonzero(ours[:-1] & ~ours[1:])]
        ended += int((last == end_id).sum())
        total += len(last)
    return ended, total
