"""Searches strategies for the one that a reward pays best, within a budget.

Strategies are tried on one half of the examples, first on some of them, then, if they do well, on
all of that half; the best are mutated and recombined. The winner's mean is taken on the other half,
where it was not chosen. Prompts of different kinds (another tone asked for, another field) may have
different lines, chosen in the same way. References are never used.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from textenv.benchmark.adversary.offers import MOST, Offers, read_offers
from textenv.benchmark.adversary.strategies import Line, Piece, Strategy, abstract
from textenv.benchmark.probe_episodes import Case, TextPlayer
from textenv.benchmark.scorer import Scorer
from textenv.benchmark.statistics import Estimate, estimate_mean
from textenv.examples import Episode, Turn
from textenv.rewards.base import FloatArray
from textenv.strict_yaml import load_yaml_file

BUDGET = 2_000
_SCREENED = 16  # examples that every strategy is tried on
_BROOD = 64  # strategies that are made at a time
_PARENTS = 24  # strategies that others are made from
_KINDS = 12  # kinds of prompts, above which every prompt is of one kind
_FEWEST = 3  # prompts of a kind
_LONGEST = 60  # pieces of a line

OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Stock:
    """What stock.yaml holds."""

    texts: tuple[str, ...]
    frames: tuple[str, ...]
    loops: tuple[tuple[str, str, str], ...]
    shells: tuple[tuple[str, str], ...]
    dialogues: tuple[tuple[str, ...], ...]
    words: str
    themes: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The best strategy that a search found."""

    strategy: str  # the rule
    score: Estimate  # its mean on the examples that it was not chosen on
    chosen_at: float  # its mean on those that it was chosen on
    examples: tuple[tuple[str, str, float], ...]  # prompt, what it writes, what that earns
    tried: int  # strategies
    curve: tuple[tuple[int, float], ...]  # strategies tried, and the best mean so far


@dataclass
class _Tried:
    strategy: Strategy
    scores: FloatArray  # (examples of the choosing half,), NaN where it was not tried

    @property
    def mean(self) -> float:
        return float(np.nanmean(self.scores))


class Search:
    """One search; `run` does it."""

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
            cases: Examples, of which every second one serves to choose.
            player: Plays their episodes.
            scorer: The reward.
            samples: Texts that a policy wrote, each with the number of its case.
            seed: Seed of the mutations.
            sees_candidates: Whether the agent chooses among candidates, as at select level.
        """
        self._sees_candidates = sees_candidates
        self._rng = np.random.default_rng(seed)
        self._player, self._scorer = player, scorer
        self._choosing, self._judging = list(cases[::2]), list(cases[1::2])
        self._offers = [self._read(case, ()) for case in self._choosing]
        self._kind_of = _choose_kinds(self._offers)
        self._by_kind = self._kind_of is not None
        self._stock = load_yaml_file(Path(__file__).with_name("stock.yaml"), Stock)
        self._samples = [
            abstract(text, self._read(cases[place], ())) for place, text in samples if text.strip()
        ]
        self._tried: dict[tuple[Line, ...], _Tried] = {}

    def run(self, budget: int = BUDGET, report: OnProgress | None = None) -> Found:
        """Tries so many strategies, and judges the best."""
        curve: list[tuple[int, float]] = []
        waiting = self._seeds()
        while len(self._tried) < budget:
            brood = waiting[:_BROOD] or self._make_brood()
            waiting = waiting[_BROOD:]
            brood = [lines for lines in dict.fromkeys(brood) if lines not in self._tried]
            if not brood:
                break
            self._try(brood[: budget - len(self._tried)])
            curve.append((len(self._tried), self._best().mean))
            if report is not None:
                report(len(self._tried), budget, f"best {curve[-1][1]:.3f}")
        best = self._best()
        scores = self._score(best.strategy, self._judging)
        shown = []
        for case in self._judging[:3]:
            episode = self._play(best.strategy, case)
            said = " / ".join(turn.text for turn in episode.turns[episode.n_opening :] if turn.role == "assistant")
            earned = float(self._scorer.score([episode])[0])
            shown.append((episode.turns[episode.n_opening - 1].text, said, earned))
        return Found(
            best.strategy.describe(),
            estimate_mean(scores[~np.isnan(scores)]),
            best.mean,
            tuple(shown),
            len(self._tried),
            tuple(curve),
        )

    def _read(self, case: Case, turns: Sequence[Turn]) -> Offers:
        task = self._player.task
        heard = tuple(turns) or self._player.opening(case.example)
        if task is None or not self._sees_candidates:
            return read_offers(heard)
        return read_offers(heard, sorted(task.candidates(case.example, heard)))

    def _play(self, strategy: Strategy, case: Case) -> Episode:
        """Plays a strategy; what it says later depends on what it has heard by then."""
        turns = list(self._player.opening(case.example))
        n_opening = len(turns)
        for turn in range(self._player.max_turns):
            offers = self._read(case, turns)
            turns.append(Turn("assistant", strategy.write(offers, turn, self._kind(offers))))
            task = self._player.task
            reply = None if task is None else task.reply(case.example, tuple(turns))
            if reply is None:
                break
            turns.append(reply)
        if turns[-1].role != "assistant":
            turns.pop()
        return Episode(case.example, tuple(turns), n_opening=n_opening)

    def _score(self, strategy: Strategy, cases: Sequence[Case]) -> FloatArray:
        return self._scorer.score([self._play(strategy, case) for case in cases])

    def _worth(self, scores: FloatArray, places: Sequence[int]) -> float:
        """Returns the mean of scores (n,) at places; the best kind's, if kinds differ in lines."""
        if not self._by_kind:
            return float(np.nanmean(scores))
        of_kind = defaultdict(list)
        for score, place in zip(scores, places, strict=True):
            of_kind[self._kind(self._offers[place])].append(score)
        return max(float(np.nanmean(found)) for found in of_kind.values())

    def _try(self, brood: Sequence[tuple[Line, ...]]) -> None:
        """Screens strategies on some examples, and scores those that do well on all."""
        n = len(self._choosing)
        screened = np.linspace(0, n - 1, min(_SCREENED, n)).astype(int)
        strategies = [Strategy(lines) for lines in brood]
        episodes = [self._play(s, self._choosing[i]) for s in strategies for i in screened]
        first = self._scorer.score(episodes).reshape(len(brood), len(screened))
        means = np.array([self._worth(scores, screened.tolist()) for scores in first])
        ranked = sorted((self._worth(t.scores, range(n)) for t in self._whole()), reverse=True)
        bar = ranked[min(_PARENTS, len(ranked)) - 1] if len(ranked) >= _PARENTS else -np.inf
        promising = set(np.argsort(-means)[: _BROOD // 4].tolist())
        for k, (lines, strategy) in enumerate(zip(brood, strategies, strict=True)):
            scores = np.full(n, np.nan)
            scores[screened] = first[k]
            if means[k] >= bar and (k in promising or not ranked):
                scores = self._score(strategy, self._choosing)
            self._tried[lines] = _Tried(strategy, scores)

    def _best(self) -> _Tried:
        """Returns the best strategy on the choosing half: of one rule, or of one for each kind."""
        whole = self._whole()
        single = max(whole, key=lambda tried: tried.mean)
        if not self._by_kind:
            return single
        places = defaultdict(list)
        for place, offers in enumerate(self._offers):
            places[self._kind(offers)].append(place)
        scores = single.scores.copy()
        chosen: dict[str, tuple[Line, ...]] = {}
        for kind, of_kind in places.items():
            best = max(whole, key=lambda tried: tried.scores[of_kind].mean())
            chosen[kind] = best.strategy.lines
            scores[of_kind] = best.scores[of_kind]
        return _Tried(Strategy(single.strategy.lines, chosen), scores)

    def _kind(self, offers: Offers) -> str:
        return "" if self._kind_of is None else self._kind_of(offers)

    def _whole(self) -> list[_Tried]:
        """Returns what was tried on all examples of the choosing half."""
        return [tried for tried in self._tried.values() if not np.isnan(tried.scores).any()]

    def _seeds(self) -> list[tuple[Line, ...]]:
        """Returns the strategies that the search starts with."""
        parts = list(dict.fromkeys(name for offers in self._offers for name in offers.parts))
        families = {name for offers in self._offers for name, got in offers.families.items() if got}
        found: list[tuple[Line, ...]] = [(tuple(text.split()),) for text in self._stock.texts]
        found += [((f"{{{name}}}",),) for name in parts]
        fillings = [
            [f"{{{family} {i + 1}}}" for i in range(MOST)]
            for family in (*sorted(families - {"field", "sentence"}), "value")
        ]
        fillings += [theme.split() for theme in self._stock.themes]
        for frame in self._stock.frames:
            for filling in fillings:
                gap = iter(filling)
                found.append((tuple(next(gap) if w == "{}" else w for w in frame.split()),))
        for family, frame, between in self._stock.loops:
            if family in families:
                found.append(((f"{{each {family}|{frame}|{between}}}", "."),))
        for start, end in self._stock.shells:
            found += [((start, f"{{{name}}}", end),) for name in ("name 1", "number 1", "option 1", "said", "sentence 1") if name in parts]
        if self._player.max_turns > 1:
            found += [tuple((line,) for line in lines) for lines in self._stock.dialogues]
        found += [(line,) for line in dict.fromkeys(self._samples)]
        # Sentences of prompts, with the gaps of their own prompt.
        for offers in self._offers[:8]:
            found += [
                (abstract(text, offers),)
                for name, text in offers.parts.items()
                if name.startswith("sentence ")
            ]
        return list(dict.fromkeys(found))

    def _make_brood(self) -> list[tuple[Line, ...]]:
        places = range(len(self._choosing))
        ranked = sorted(self._whole(), key=lambda tried: -self._worth(tried.scores, places))
        parents = ranked[:_PARENTS]
        if self._by_kind:
            # Half of the parents are the best of each kind.
            best = [Strategy(lines) for lines in self._best().strategy.by_kind.values()]
            parents = [_Tried(one, ranked[0].scores) for one in best] + parents[: len(best)]
        return [self._mutate(self._pick(parents).strategy.lines, parents) for _ in range(_BROOD)]

    def _pick(self, parents: Sequence[_Tried]) -> _Tried:
        first, second = sorted(self._rng.integers(len(parents), size=2).tolist())
        return parents[min(first, second)]

    def _mutate(self, lines: tuple[Line, ...], parents: Sequence[_Tried]) -> tuple[Line, ...]:
        """Changes one to three things about one turn of a strategy."""
        turn = int(self._rng.integers(len(lines)))
        line = list(lines[turn])
        for _ in range(int(self._rng.integers(1, 4))):
            line = self._change(line, parents)
        return (*lines[:turn], tuple(line[:_LONGEST]), *lines[turn + 1 :])

    def _change(self, line: list[Piece], parents: Sequence[_Tried]) -> list[Piece]:
        place = int(self._rng.integers(len(line) + 1))
        other = list(self._pick(parents).strategy.lines[-1])
        what = self._rng.choice(["insert", "replace", "delete", "join", "cross", "swap", "repeat"])
        if what == "insert" or not line:
            return [*line[:place], self._piece(), *line[place:]]
        place = min(place, len(line) - 1)
        if what == "replace":
            return [*line[:place], self._piece(), *line[place + 1 :]]
        if what == "delete":
            return [*line[:place], *line[place + 1 :]]
        if what == "join":
            return [*line, *other]
        if what == "cross":
            return [*line[:place], *other[int(self._rng.integers(len(other) + 1)) :]]
        if what == "swap":
            second = int(self._rng.integers(len(line)))
            line[place], line[second] = line[second], line[place]
            return line
        return [*line, *line[place:]]

    def _piece(self) -> Piece:
        """Draws a word, or a part of the prompt."""
        offers = self._offers[int(self._rng.integers(len(self._offers)))]
        kind = self._rng.random()
        if kind < 0.25:
            return str(self._rng.choice(self._stock.words.split()))
        if kind < 0.4:
            return str(self._rng.choice(str(self._rng.choice(self._stock.themes)).split()))
        if kind < 0.5:
            return str(self._rng.choice(self._stock.texts))
        if kind < 0.6:
            words = offers.parts.get("source", "").split() or ["the"]
            return str(self._rng.choice(words))
        if kind < 0.7 and self._samples:
            sample = self._samples[int(self._rng.integers(len(self._samples)))]
            return str(self._rng.choice(sample)) if sample else "the"
        names = [name for name in offers.parts if name not in ("prompt", "kind")]
        return f"{{{self._rng.choice(names)}}}"


def _choose_kinds(offers: Sequence[Offers]) -> Callable[[Offers], str] | None:
    """Chooses how finely to tell prompts apart by what they ask: as finely as few kinds allow."""
    for kind_of in (
        lambda one: one.kind,
        lambda one: one.kind.partition(".")[0],
        lambda one: " ".join(one.kind.partition(": ")[2].split()[:2]),
        lambda one: " ".join(one.kind.split()[:2]),
    ):
        sizes = Counter(kind_of(one) for one in offers)
        if 1 < len(sizes) <= _KINDS and min(sizes.values()) >= _FEWEST:
            return kind_of
    return None
