"""What rounds say: medians, and ratios within rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.peers.contestants import Comparison, Contestant
from benchmarks.peers.work import Outcome

Rounds = Mapping[Contestant, Sequence[Outcome]]


@dataclass(frozen=True)
class Standing:
    """How quick a contestant was.

    Attributes:
        name: The contestant's.
        episodes_per_s: Median over rounds, of the median update of each.
        spread: Least and greatest of a round.
        update_s: Median over rounds.
        cpu_s: Median over rounds of the seconds of all threads in an update; steadier than wall
            time on a machine that does other things.
        response_tokens: Mean over episodes and rounds.
        phases_s: Median over rounds.
    """

    name: str
    episodes_per_s: float
    spread: tuple[float, float]
    update_s: float
    cpu_s: float
    response_tokens: float
    phases_s: dict[str, float]


@dataclass(frozen=True)
class Ratio:
    """How many times a peer's episodes a second ours makes.

    Attributes:
        ours: The contestant's name.
        peer: The other's.
        ratio: Median over rounds of the ratio within a round.
        spread: Least and greatest of a round.
        cpu_ratio: The same of the processor's seconds.
        wanted: The least that it should be, if any.
    """

    ours: str
    peer: str
    ratio: float
    spread: tuple[float, float]
    cpu_ratio: float
    wanted: float | None

    @property
    def met(self) -> bool:
        """Whether it is what it should be."""
        return self.wanted is None or self.ratio >= self.wanted


def compute_standings(rounds: Rounds, n_episodes: int) -> list[Standing]:
    """Returns how quick each contestant was, over updates of so many episodes."""
    standings = []
    for contestant, outcomes in rounds.items():
        rates = [n_episodes / outcome.median_s for outcome in outcomes]
        phases = {
            name: statistics.median(statistics.median(o.phases_s[name]) for o in outcomes)
            for name in outcomes[0].phases_s
        }
        standings.append(
            Standing(
                contestant.name,
                statistics.median(rates),
                (min(rates), max(rates)),
                statistics.median(outcome.median_s for outcome in outcomes),
                statistics.median(statistics.median(o.cpu_s) for o in outcomes),
                statistics.mean(outcome.response_tokens for outcome in outcomes),
                phases,
            )
        )
    return standings


def compute_ratios(rounds: Rounds, comparisons: Sequence[Comparison]) -> list[Ratio]:
    """Returns the ratios within rounds, so that what else the machine did falls on both."""
    ratios = []
    for comparison in comparisons:
        pairs = list(zip(rounds[comparison.ours], rounds[comparison.peer], strict=True))
        wall = [peer.median_s / ours.median_s for ours, peer in pairs]
        cpu = [statistics.median(p.cpu_s) / statistics.median(o.cpu_s) for o, p in pairs]
        ratios.append(
            Ratio(
                comparison.ours.name,
                comparison.peer.name,
                statistics.median(wall),
                (min(wall), max(wall)),
                statistics.median(cpu),
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
