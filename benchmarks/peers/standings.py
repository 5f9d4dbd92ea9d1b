"""The results of `benchmarks.ppo`: medians of rounds, and ratios within rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from benchmarks.measuring import Spread, ratios_of, spread_of
from benchmarks.peers.contestants import Comparison, Contestant
from benchmarks.peers.work import Outcome

Rounds = Mapping[Contestant, Sequence[Outcome]]


@dataclass(frozen=True)
class Standing:
    """How quick a contestant was."""

    name: str
    episodes_per_s: Spread  # episodes a second, of the median update of each round
    update_s: float  # seconds of an update, the median over rounds
    # Seconds of all threads in an update; steadier than wall time on a machine that does other
    # things.
    cpu_s: float
    response_tokens: float  # tokens of a response, the mean over episodes and rounds
    phases_s: dict[str, float]  # seconds of each part of an update, medians over rounds


@dataclass(frozen=True)
class Ratio:
    """How many times a peer's episodes a second ours makes."""

    ours: str
    peer: str
    ratio: Spread  # the ratio in seconds of the clock
    cpu_ratio: Spread  # the same in seconds of the processor
    wanted: float | None  # the least that it should be, if any

    @property
    def met(self) -> bool:
        """Whether it is what it should be."""
        return self.wanted is None or self.ratio.median >= self.wanted


def compute_standings(rounds: Rounds, n_episodes: int) -> list[Standing]:
    """Returns how quick each contestant was, over updates of so many episodes."""
    standings = []
    for contestant, outcomes in rounds.items():
        phases = {
            name: median(median(o.phases_s[name]) for o in outcomes)
            for name in outcomes[0].phases_s
        }
        standings.append(
            Standing(
                contestant.name,
                spread_of([n_episodes / outcome.median_s for outcome in outcomes]),
                median(outcome.median_s for outcome in outcomes),
                median(median(o.cpu_s) for o in outcomes),
                mean(outcome.response_tokens for outcome in outcomes),
                phases,
            )
        )
    return standings


def compute_ratios(rounds: Rounds, comparisons: Sequence[Comparison]) -> list[Ratio]:
    """Returns the ratios within rounds, so that what else the machine did falls on both."""
    ratios = []
    for comparison in comparisons:
        ours, peers = rounds[comparison.ours], rounds[comparison.peer]
        ratios.append(
            Ratio(
                comparison.ours.name,
                comparison.peer.name,
                ratios_of([o.median_s for o in peers], [o.median_s for o in ours]),
                ratios_of([median(o.cpu_s) for o in peers], [median(o.cpu_s) for o in ours]),
                comparison.wanted,
            )
        )
    return ratios


def split_update(standing: Standing) -> dict[str, float]:
    """Splits an update into seconds of parts that add up to it, in the order in which they come.

    What a rollout does besides sampling is the environment's; what is left of an update after its
    rollout and its targets are the epochs of learning. Empty where a contestant tells no phases.
    """
    phases = standing.phases_s
    if not phases:
        return {}
    rollout, targets = phases["rollout"], phases["old, reference"]
    return {
        "sampling": phases["sampling"],
        "environment": rollout - phases["sampling"],
        "old, reference": targets,
        "epochs": standing.update_s - rollout - targets,
    }
