"""The best text that ignores its input: chosen on one half of the examples, used on the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from textenv.benchmark.probe_episodes import Case, TextPlayer
from textenv.benchmark.scorer import Scorer
from textenv.rewards.lexical.rouge import rouge_words
from textenv.tasks.candidates import shuffled

_N_COMMON = 6
_N_DRAWN = 6
_N_TRIALS = 40  # examples on which each is tried


def choose_constants(cases: Sequence[Case], player: TextPlayer, scorer: Scorer) -> list[str | None]:
    """Returns the constant text of every case; None where there are too few examples to choose.

    Candidates are the most common references of the other half, some more of them, and its most
    common words in a row, as many as its references have in the median.
    """
    halves = [[case for case in cases if case.owner % 2 == half] for half in (0, 1)]
    best = [_best(half, player, scorer) for half in halves]
    return [best[1 - case.owner % 2] for case in cases]


def _best(cases: Sequence[Case], player: TextPlayer, scorer: Scorer) -> str | None:
    if not cases:
        return None
    counts = Counter(case.reference for case in cases)
    drawn = shuffled("constant", counts)[:_N_DRAWN]
    common = [text for text, _ in counts.most_common(_N_COMMON)]
    words = [rouge_words(case.reference) for case in cases]
    length = int(np.median([len(found) for found in words]))
    # Each text counts a word once; a set would put ties in another order in each process.
    frequent = Counter(word for found in words for word in dict.fromkeys(found)).most_common(length)
    in_a_row = " ".join(word for word, _ in frequent)
    first = {case.owner: case for case in cases}
    trials = list(first.values())[:: max(1, len(first) // _N_TRIALS)]

    def worth(text: str) -> float:
        # A text must not be chosen because one trial, where it comes from, has it as reference.
        origin = next((case for case in cases if case.reference == text), None)
        others = (case for case in trials if origin is None or case.owner != origin.owner)
        played = [player.play(case, lambda _: text) for case in others]
        totals = scorer.score([episode for episode in played if episode is not None])
        scored = totals[~np.isnan(totals)]
        return float(scored.mean()) if len(scored) else -np.inf

    texts = [text for text in dict.fromkeys((*common, *drawn, in_a_row)) if text]
    return max(texts, key=worth) if texts else None
