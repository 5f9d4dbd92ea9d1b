"""Searches for the strategy that a reward pays best, within a budget.

Strategies are tried on one half of the examples, first on some of them, then, if they do well, on
all of that half; the best are mutated and recombined. The winner's mean is taken on the other half,
where it was not chosen. Prompts of different kinds (another tone asked for, another question) may
have different lines, chosen in the same way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np

from textenv.benchmark.adversary.breeding import Breeder, Lines
from textenv.benchmark.adversary.offers import Offers, read_offers
from textenv.benchmark.adversary.strategies import Strategy, abstract
from textenv.benchmark.probe_episodes import Case, TextPlayer
from textenv.benchmark.scorer import Scorer
from textenv.examples import Episode, Turn
from textenv.rewards.base import FloatArray

_SCREENED = 16  # examples that every strategy is tried on
_BROOD = 64  # strategies that are made at a time
_PARENTS = 24  # strategies that others are made from
_KINDS = 12  # kinds of prompts, above which every prompt is of one kind
_FEWEST = 3  # prompts of a kind

OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Tried:
    """A strategy and what it earned."""

    strategy: Strategy
    scores: FloatArray  # (examples of the choosing half,), NaN where it was not tried

    @property
    def mean(self) -> float:
        """The mean over the examples that it was tried on; -inf where none could be scored."""
        return _mean(self.scores)


class Search:
    """The strategies of one reward on one set of examples; `run` finds the best."""

    def __init__(
        self,
        cases: Sequence[Case],
        player: TextPlayer,
        scorer: Scorer,
        samples: Sequence[tuple[int, str]] = (),
        seed: int = 0,
        *,
        sees_candidates: bool = False,
    ) -> None:
        """Prepares the search.

        Args:
            cases: Examples; one half, drawn, serves to choose.
            player: Plays their episodes.
            scorer: The reward.
            samples: Texts that a policy wrote, each with the number of its case.
            seed: Seed of the mutations.
            sees_candidates: Whether the agent chooses among candidates, as at select level.
        """
        self._sees_candidates = sees_candidates
        self._player, self._scorer = player, scorer
        # Drawn, since examples may come in turns: every second one of a kind, for example.
        order = np.random.default_rng(seed).permutation(len(cases)).tolist()
        half = (len(cases) + 1) // 2
        self._choosing = [cases[i] for i in sorted(order[:half])]
        self.judging = [cases[i] for i in sorted(order[half:])]
        offers = [self._read(player.opening(case.example), case) for case in self._choosing]
        self._kind_of = _choose_kinds(offers)
        self._kinds = [self._kind(one) for one in offers]
        templates = [
            abstract(text, self._read(player.opening(cases[place].example), cases[place]))
            for place, text in samples
            if text.strip()
        ]
        self._rng = np.random.default_rng(seed)
        self._breeder = Breeder(offers, templates, self._rng)
        self._tried: dict[Lines, Tried] = {}

    def run(self, budget: int, report: OnProgress) -> tuple[Tried, list[tuple[int, float]]]:
        """Tries so many strategies; returns the best, and the best mean after each brood."""
        curve: list[tuple[int, float]] = []
        waiting = self._breeder.seeds(self._player.max_turns)
        while len(self._tried) < budget:
            brood, waiting = waiting[:_BROOD] or self._make_brood(), waiting[_BROOD:]
            new = [lines for lines in dict.fromkeys(brood) if lines not in self._tried]
            if not new:
                break
            self._try(new[: budget - len(self._tried)])
            curve.append((len(self._tried), self._best().mean))
            report(len(self._tried), budget, f"best {curve[-1][1]:.3f}")
        return self._best(), curve

    def play(self, strategy: Strategy, case: Case) -> Episode:
        """Plays a strategy; what it says later may depend on what it has heard by then."""
        numbers = count()

        def say(turns: Sequence[Turn]) -> str:
            offers = self._read(turns, case)
            return strategy.write(offers, next(numbers), self._kind(offers))

        episode = self._player.converse(case.example, say)
        assert episode is not None
        return episode

    def score(self, strategy: Strategy, cases: Sequence[Case]) -> FloatArray:
        """Returns what a strategy earns on each case (n,); NaN where it cannot be scored."""
        return self._scorer.score([self.play(strategy, case) for case in cases])

    def _read(self, turns: Sequence[Turn], case: Case) -> Offers:
        task, told = self._player.task, tuple(turns)
        if task is None or not self._sees_candidates:
            return _read_once(told)
        return _read_once(told, tuple(sorted(task.candidates(case.example, told))))

    def _kind(self, offers: Offers) -> str:
        return "" if self._kind_of is None else self._kind_of(offers)

    def _try(self, brood: Sequence[Lines]) -> None:
        """Screens strategies on some examples, and scores those that do well on all."""
        n = len(self._choosing)
        screened = sorted({round(place) for place in np.linspace(0, n - 1, _SCREENED)})
        strategies = [Strategy(lines) for lines in brood]
        episodes = [self.play(s, self._choosing[i]) for s in strategies for i in screened]
        first = self._scorer.score(episodes).reshape(len(brood), len(screened))
        worths = np.array([self._worth(scores, screened) for scores in first])
        known = sorted((self._worth(t.scores, range(n)) for t in self._whole()), reverse=True)
        bar = known[_PARENTS - 1] if len(known) >= _PARENTS else -np.inf
        promising = set(np.argsort(-worths)[: _BROOD // 4].tolist())
        for k, (lines, strategy) in enumerate(zip(brood, strategies, strict=True)):
            scores = np.full(n, np.nan)
            scores[screened] = first[k]
            if worths[k] >= bar and k in promising:
                scores = np.nan_to_num(self.score(strategy, self._choosing))
            self._tried[lines] = Tried(strategy, scores)

    def _worth(self, scores: FloatArray, places: Sequence[int]) -> float:
        """Returns the mean of scores (n,) at places; the best kind's, if kinds differ in lines."""
        of_kind = defaultdict(list)
        for score, place in zip(scores, places, strict=True):
            of_kind[self._kinds[place]].append(score)
        return max(_mean(np.array(found)) for found in of_kind.values())

    def _whole(self) -> list[Tried]:
        """Returns what was tried on all examples of the choosing half."""
        return [tried for tried in self._tried.values() if not np.isnan(tried.scores).any()]

    def _best(self) -> Tried:
        """Returns the best strategy on the choosing half: of one rule, or of one for each kind."""
        whole = self._whole()
        single = max(whole, key=lambda tried: tried.mean)
        if self._kind_of is None:
            return single
        places = defaultdict(list)
        for place, kind in enumerate(self._kinds):
            places[kind].append(place)
        scores = single.scores.copy()
        chosen: dict[str, Lines] = {}
        for kind, of_kind in places.items():
            best = max(whole, key=lambda tried: tried.scores[of_kind].mean())
            chosen[kind] = best.strategy.lines
            scores[of_kind] = best.scores[of_kind]
        if len(set(chosen.values())) == 1:
            return single
        return Tried(Strategy(single.strategy.lines, chosen), scores)

    def _make_brood(self) -> list[Lines]:
        """Mutates the best; half of the parents are the best of each kind."""
        places = range(len(self._choosing))
        ranked = sorted(self._whole(), key=lambda tried: -self._worth(tried.scores, places))
        of_kinds = list(self._best().strategy.by_kind.values())
        others = [tried.strategy.lines for tried in ranked[:_PARENTS]]
        parents = of_kinds + others[: len(of_kinds) or _PARENTS]
        return [
            self._breeder.mutate(self._pick(parents), self._pick(parents)) for _ in range(_BROOD)
        ]

    def _pick(self, parents: Sequence[Lines]) -> Lines:
        """Draws a parent, the better of two."""
        return parents[int(self._rng.integers(len(parents), size=2).min())]


@lru_cache(maxsize=1 << 12)
def _read_once(turns: tuple[Turn, ...], candidates: tuple[str, ...] = ()) -> Offers:
    return read_offers(turns, candidates)


def _mean(scores: FloatArray) -> float:
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if len(known) else -np.inf


def _choose_kinds(offers: Sequence[Offers]) -> Callable[[Offers], str] | None:
    """Chooses how to tell prompts apart by what they ask: as finely as few kinds allow."""
    ways: tuple[Callable[[Offers], str], ...] = (
        lambda one: one.kind,
        lambda one: one.kind.partition(".")[0],
        lambda one: " ".join(one.kind.partition(": ")[2].split()[:2]),
        lambda one: " ".join(one.kind.split()[:2]),
    )
    for kind_of in ways:
        sizes = Counter(map(kind_of, offers))
        if 1 < len(sizes) <= _KINDS and min(sizes.values()) >= _FEWEST:
            return kind_of
    return None
