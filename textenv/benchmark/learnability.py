"""Whether a policy can learn from a reward: what several samples of each prompt earn now.

PPO and its relatives learn from differences: where all samples of a prompt earn the same, nothing
says which of them was better (Yu et al. 2025, arXiv 2503.14476, leave such prompts out).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from textenv.benchmark.results import PolicyScores
from textenv.benchmark.scorer import Scorer
from textenv.benchmark.statistics import FloatArray, estimate_mean
from textenv.errors import ConfigError
from textenv.examples import Episode

_MOST = 8  # samples of a prompt that have to earn the same
_SAME = 1e-9  # scores that differ by less are the same


@dataclass(frozen=True)
class PolicySamples:
    """What a policy says now."""

    policy: str  # the model's name
    # (n_prompts * n_samples,) all samples of the first prompt, then of the second, and so on
    episodes: Sequence[Episode]
    n_samples: int  # of each prompt
    scores: FloatArray | None = None  # (n_prompts, n_samples) if they were scored already

    def __post_init__(self) -> None:
        n = len(self.episodes) if self.scores is None else self.scores.size
        if self.n_samples < 2 or n < 1 or n % self.n_samples:
            raise ConfigError(
                f"Give two samples of each prompt or more, and as many of each; {n} episodes are "
                f"not {self.n_samples} of each."
            )


def measure_policy(samples: PolicySamples, scorer: Scorer) -> PolicyScores:
    """Scores a policy's samples, unless they are scored already, and says how they differ.

    Prompts with a sample that cannot be scored are left out; without any other, a ConfigError is
    raised.
    """
    table = samples.scores
    if table is None:
        table = scorer.score(samples.episodes).reshape(-1, samples.n_samples)
    table = table[~np.isnan(table).any(axis=1)]
    if not len(table):
        raise ConfigError(f"The reward cannot score what '{samples.policy}' says.")
    return PolicyScores(
        policy=samples.policy,
        n_prompts=len(table),
        n_samples=table.shape[1],
        score=estimate_mean(table.mean(axis=1)),
        best=estimate_mean(table.max(axis=1)),
        within=float(np.sqrt(table.var(axis=1, ddof=1).mean())),
        # Of more samples fewer prompts would be without variation.
        dead=estimate_mean((np.ptp(table[:, :_MOST], axis=1) <= _SAME).astype(np.float64)),
    )
