"""What an agent's episodes on some examples were worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textenv.benchmark.best_of_n import expected_best
from textenv.benchmark.statistics import Estimate, FloatArray, estimate_mean
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.examples import Episode, Example


@dataclass(frozen=True)
class Evaluation:
    """An agent's episodes on some examples, with their scores.

    Attributes:
        episodes: `n_samples` episodes of the first example, then of the second, and so on.
        rewards: (n,) rewards of the environment.
        metrics: Reward components, text metrics and counts, (n,) each.
        n_samples: Number of episodes of each example.
        invalid: Why an episode has no score, by its place; it is NaN in rewards and metrics, and
            no mean counts it.
    """

    episodes: tuple[Episode, ...]
    rewards: FloatArray
    metrics: dict[str, FloatArray] = field(default_factory=dict)
    n_samples: int = 1
    invalid: Mapping[int, str] = field(default_factory=dict)

    @property
    def n_examples(self) -> int:
        """Number of examples."""
        return len(self.episodes) // self.n_samples

    def estimate(self, values: FloatArray) -> Estimate:
        """Estimates the mean of one number an episode, (n,).

        An example with all of its samples is drawn as a whole, so the 95 % interval covers both
        which examples were taken and what was sampled for them: see `textenv.benchmark.statistics`.
        Of an example the samples with a score count; one without any is left out.

        Raises:
            ConfigError: No episode has a score.
        """
        by_example = values.reshape(-1, self.n_samples)
        if self.invalid:
            by_example = by_example[~np.isnan(by_example).all(axis=1)]
        return estimate_mean(np.nanmean(by_example, axis=1) if self.invalid else by_example.mean(1))

    def summary(self) -> dict[str, Any]:
        """Returns means with 95 % intervals, as plain values."""
        return {
            "examples": self.n_examples,
            "samples": self.n_samples,
            **({"invalid": len(self.invalid)} if self.invalid else {}),
            "reward": self.estimate(self.rewards).to_json(),
            "metrics": {n: self.estimate(values).to_json() for n, values in self.metrics.items()},
        }

    def pass_at(self, sizes: Sequence[int], least_reward: float = 1.0) -> dict[int, Estimate]:
        """Estimates pass@k: the chance that one of k samples passes, the mean over examples.

        1 - C(n - c, k) / C(n, k) of an example with c of n samples that pass, which is unbiased
        (Chen et al. 2021, arXiv 2107.03374). The interval is as for `estimate`. An example with a
        sample without a score is left out.

        Args:
            sizes: Each k, from 1 to `n_samples`.
            least_reward: Reward from which on a sample passes.

        Raises:
            ConfigError: There are fewer than k samples, or no example has a score for each.
        """
        for k in sizes:
            if not 1 <= k <= self.n_samples:
                raise ConfigError(
                    f"pass@{k} needs at least {max(k, 1)} samples of each example, and k from 1 "
                    f"up; there are {self.n_samples}."
                )
        # Sums of weights may miss a reward by a last digit.
        passed = (self.rewards > least_reward - 1e-9).reshape(-1, self.n_samples)
        whole = ~np.isnan(self.rewards).reshape(passed.shape).any(axis=1)
        if sizes and not whole.any():
            raise ConfigError(
                "pass@k needs an example of which every sample has a score, and none has that: "
                f"{len(self.invalid)} of {len(self.episodes)} answers have no score. Leave out "
                "--pass-at, or find out why they have none."
            )
        found = expected_best(passed[whole], passed[whole], sizes)
        return {k: estimate_mean(chances) for k, chances in zip(sizes, found.T, strict=True)}

    def answer(self, i: int) -> dict[str, Any]:
        """Returns the i-th answer with its scores, as plain values."""
        said = spoken(self.episodes[i])
        if i in self.invalid:
            why = {"stop_reason": None, "invalid_reason": self.invalid[i]}
            return said | why | {"reward": None, "metrics": {}}
        return said | {
            "reward": float(self.rewards[i]),
            "metrics": {name: float(values[i]) for name, values in self.metrics.items()},
        }


def merge_evaluations(parts: Sequence[Evaluation]) -> Evaluation:
    """Merges k evaluations, where number i has the examples i, i + k, i + 2 k and so on."""
    n_samples = parts[0].n_samples
    order = in_turn([part.n_examples for part in parts])
    # The samples of an example stay together.
    return _in_order(parts, (order[:, None] * n_samples + np.arange(n_samples)).ravel(), n_samples)


def _in_order(parts: Sequence[Evaluation], order: NDArray[np.int64], n_samples: int) -> Evaluation:
    """Puts the episodes of concatenated evaluations in an order (n,) of their places."""
    episodes = [episode for part in parts for episode in part.episodes]

    def merged(values: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        return np.concatenate(values)[order]

    # A component that a part lacks is 0 there, as for an episode that lacks it.
    names = {name: None for part in parts for name in part.metrics}
    metrics = {
        name: merged([part.metrics.get(name, np.zeros(len(part.episodes))) for part in parts])
        for name in names
    }
    rewards = merged([part.rewards for part in parts])
    starts = np.cumsum([0, *(len(part.episodes) for part in parts)]).tolist()
    reasons = {
        start + i: reason
        for start, part in zip(starts, parts, strict=False)
        for i, reason in part.invalid.items()
    }
    invalid = {j: reasons[i] for j, i in enumerate(order.tolist()) if i in reasons}
    return Evaluation(tuple(episodes[i] for i in order), rewards, metrics, n_samples, invalid)


def pool_samples(parts: Sequence[Evaluation]) -> Evaluation:
    """Takes evaluations on the same examples, such as of several seeds, as samples of each."""
    shapes = [(part.n_examples, part.n_samples) for part in parts]
    ends = np.cumsum([0, *(n * k for n, k in shapes)])
    places = [
        np.arange(a, a + n * k).reshape(n, k) for a, (n, k) in zip(ends, shapes, strict=False)
    ]
    return _in_order(parts, np.concatenate(places, axis=1).ravel(), sum(k for _, k in shapes))


def in_turn(counts: Sequence[int]) -> NDArray[np.int64]:
    """Returns the order in which k concatenated parts of these lengths take turns."""
    k, n = len(counts), sum(counts)
    return np.argsort(np.concatenate([np.arange(i, n, k) for i in range(k)]))


def spoken(episode: Episode) -> dict[str, Any]:
    """Returns what was said in an episode after its opening, as plain values."""
    said = [{"role": t.role, "text": t.text} for t in episode.turns[episode.n_opening :]]
    return {
        "response": episode.response,
        # Of a dialogue, what the other side said, too.
        **({"turns": said} if len(said) > 1 else {}),
        "stop_reason": episode.stop_reason,
    }


def question(core: TextCore, example: Example) -> dict[str, Any]:
    """Returns what an example asks, and its references, as plain values."""
    return {
        "id": example.id,
        "prompt": "\n".join(turn.text for turn in core.task.opening(example)),
        "references": list(example.references),
    }
