"""What a rollout amounts to, over all processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.buffer import CollectedEpisode
from agents.distributed import Ranks


@dataclass(frozen=True)
class RolloutStats:
    """A rollout in numbers.

    Attributes:
        n_tokens: That the agent wrote.
        n_played: Episodes, scored or not.
        returns: (n,) undiscounted, of the scored ones.
        lengths: (n,) tokens that the agent wrote in each.
        components: Of the rewards, an episode each.
    """

    n_tokens: int
    n_played: int
    returns: NDArray[np.float64]
    lengths: NDArray[np.float64]
    components: Sequence[Mapping[str, float]]

    def metrics(self) -> dict[str, float]:
        """Returns the numbers to log; a component that an episode lacks is 0 there."""
        names = {name: None for found in self.components for name in found}
        return {
            **{
                f"rollout/{name}": float(np.mean([c.get(name, 0.0) for c in self.components]))
                for name in names
            },
            "rollout/invalid_episodes": self.n_played - len(self.returns),
            "rollout/reward_mean": float(self.returns.mean()),
            "rollout/reward_std": float(self.returns.std()),
            "rollout/response_tokens": float(self.lengths.mean()),
        }


def gather_stats(
    ranks: Ranks,
    episodes: Sequence[CollectedEpisode],
    n_played: int,
    n_tokens: int,
    components: Sequence[Mapping[str, float]],
) -> RolloutStats:
    """Puts together what each process has played.

    Args:
        ranks: The processes of the run.
        episodes: That could be scored, of this process, like all that follows.
        n_played: Episodes in all.
        n_tokens: Tokens that the agent wrote in them.
        components: Of the rewards of `episodes`.
    """
    returns = [episode.rewards.sum(dtype=np.float64) for episode in episodes]
    lengths = [episode.action_mask.sum() for episode in episodes]
    summaries = np.array([returns, lengths], np.float64)
    everyones = ranks.gather((n_tokens, n_played, summaries, list(components)))
    all_returns, all_lengths = np.concatenate([found for _, _, found, _ in everyones], axis=1)
    return RolloutStats(
        sum(tokens for tokens, *_ in everyones),
        sum(played for _, played, *_ in everyones),
        all_returns,
        all_lengths,
        [found for *_, part in everyones for found in part],
    )
