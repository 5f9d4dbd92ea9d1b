"""Speed of the lexical rewards, beside the packages that they repeat."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.measuring import Spread, ratios_of
from benchmarks.reward_agreement import PEERS
from benchmarks.reward_texts import Row
from textenv.examples import Episode, Example, Turn
from textenv.rewards import compute_rewards, load_reward, score
from textenv.rewards.catalog import REWARDS

N_RESPONSES = 600
LENGTHS = (5, 65)  # words of a response
# Peers that take minutes for all responses score the first of them.
SCORED_BY_PEER = {"ter": 30}
WITHOUT_REFERENCES = ("repetition", "distinct")
FROM_TEXTS = "rougeL by score()"


@dataclass(frozen=True)
class Speed:
    """Responses of one reward scored in a second of the CPU.

    Attributes:
        reward: The reward's name.
        responses_per_s: Responses a second, the median over rounds.
        peer_responses_per_s: The peer's; None if there is none.
        ratio: Ours to the peer's on the same responses; None without a peer.
    """

    reward: str
    responses_per_s: float
    peer_responses_per_s: float | None = None
    ratio: Spread | None = None


@dataclass(frozen=True)
class Workload:
    """Responses of 5 to 65 words, with what the rewards read beside them."""

    responses: list[str]
    references: list[tuple[str, ...]]
    prompts: list[str]
    metadata: list[dict[str, list[str]]]

    def make_episodes(self) -> list[Episode]:
        """Returns finished episodes, as an environment hands them to a reward."""
        columns = (self.responses, self.references, self.prompts, self.metadata)
        return [
            Episode(
                Example(str(i), prompt, references, metadata),
                (Turn("user", prompt), Turn("assistant", response)),
            )
            for i, (response, references, prompt, metadata) in enumerate(zip(*columns, strict=True))
        ]

    def take(self, n: int) -> Workload:
        """Keeps the first n."""
        return Workload(
            self.responses[:n], self.references[:n], self.prompts[:n], self.metadata[:n]
        )


def make_workload(rows: Sequence[Row]) -> Workload:
    """Takes the beginnings of documents as responses, and their summaries as references."""
    rng = np.random.default_rng(0)
    chosen = [rows[i % len(rows)] for i in range(N_RESPONSES)]
    # A short document goes on with the next ones, so that every length can be had.
    words = [
        " ".join(rows[(i + k) % len(rows)].source for k in range(9)).split()
        for i in range(N_RESPONSES)
    ]
    sizes = rng.integers(LENGTHS[0], LENGTHS[1] + 1, size=N_RESPONSES)
    return Workload(
        [" ".join(text[:size]) for text, size in zip(words, sizes, strict=True)],
        [row.references for row in chosen],
        [row.source for row in chosen],
        [{"concepts": row.references[0].split()[:5]} for row in chosen],
    )


def measure_speeds(workload: Workload, rounds: int, step: Callable[[], None]) -> list[Speed]:
    """Times every lexical reward and its peer, one after the other in each round.

    Args:
        workload: What to score.
        rounds: How often.
        step: Called after each round.
    """
    names = [name for name, row in REWARDS.items() if row.family == "lexical"]
    names += WITHOUT_REFERENCES
    ours: dict[str, list[float]] = {name: [] for name in (*names, FROM_TEXTS)}
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in ours}
    for name in names:  # what is imported or compiled once is not to count
        _time_reward(name, workload.take(2))
    for _ in range(rounds):
        for name in names:
            ours[name].append(_time_reward(name, workload))
            if name not in PEERS:
                continue
            part = workload.take(SCORED_BY_PEER.get(name, N_RESPONSES))
            mine = _time_reward(name, part) if name in SCORED_BY_PEER else ours[name][-1]
            theirs = _time_peer(name, part)
            pairs[name].append((mine, theirs))
            if name == "rougeL":
                ours[FROM_TEXTS].append(_time_score(name, workload))
                pairs[FROM_TEXTS].append((ours[FROM_TEXTS][-1], theirs))
        step()
    return [_speed(name, ours[name], pairs[name]) for name in ours]


def _speed(name: str, ours: list[float], pairs: list[tuple[float, float]]) -> Speed:
    if not pairs:
        return Speed(name, statistics.median(ours))
    mine, theirs = zip(*pairs, strict=True)
    return Speed(name, statistics.median(ours), statistics.median(theirs), ratios_of(mine, theirs))


def _rate(workload: Workload, score_all: Callable[[], object]) -> float:
    began = time.process_time()
    score_all()
    return len(workload.responses) / (time.process_time() - began)


def _time_reward(name: str, workload: Workload) -> float:
    reward, episodes = load_reward(name), workload.make_episodes()
    return _rate(workload, lambda: compute_rewards(reward, episodes))


def _time_score(name: str, workload: Workload) -> float:
    return _rate(workload, lambda: score(name, workload.responses, workload.references))


def _time_peer(name: str, workload: Workload) -> float:
    return _rate(workload, lambda: PEERS[name](workload.responses, workload.references))
