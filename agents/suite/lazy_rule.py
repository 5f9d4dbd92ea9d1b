"""The lazy agent of a suite: a rule that understands nothing, written as the audit's rules are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textenv.benchmark.adversary.offers import read_offers
from textenv.benchmark.adversary.strategies import Strategy, pieces_of
from textenv.episode import Speaker
from textenv.examples import Example, Turn
from textenv.tasks.base import Task


def make_lazy_speaker(task: Task, rule: Sequence[str] | Mapping[str, Sequence[str]]) -> Speaker:
    """Returns the agent that follows a rule.

    Args:
        task: Task that is played.
        rule: A template for each turn, of which the last one is said again; or such templates by
            what the prompt asks, its text beside the source.
    """
    by_kind = rule if isinstance(rule, Mapping) else {}
    lines = {kind: tuple(map(pieces_of, texts)) for kind, texts in by_kind.items()}
    always = ((),) if isinstance(rule, Mapping) else tuple(map(pieces_of, rule))
    strategy = Strategy(always, lines)

    def speak(example: Example, transcript: tuple[Turn, ...]) -> str:
        opening = tuple(task.opening(example))
        said = sum(turn.role == "assistant" for turn in transcript[len(opening) :])
        kind = read_offers(opening).kind if lines else ""
        return strategy.write(read_offers(transcript), said, kind)

    return speak
