"""Rewards of whole dialogues: what was booked and how, closeness to recorded turns, a choice."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import numpy as np

from textenv.errors import ConfigError, RewardError
from textenv.examples import Episode
from textenv.guests.booking_lines import ANY, SLOTS
from textenv.guests.guest import definite_slots, follow
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.best_over_references import BestOverReferences
from textenv.rewards.lexical.squad import token_f1
from textenv.rewards.lexical.words import normalised


@dataclass(frozen=True)
class DialogueQuality:
    """Success, brevity and relevance of a dialogue with a goal; in [0, 1].

    The share of turns on topic times the weighted mean of four components, each in [0, 1]. A slot
    is right if the booking has the value that the guest wants in the end, and the guest has told
    it: a lucky guess is right only for a guest who is in the house's book. Slots that the guest
    does not care about do not count.

    | component | weight | value |
    |---|---|---|
    | `success` | 8 | 1 if every slot is right, else 0 |
    | `slots` | 3 | the share of slots that are right |
    | `withheld` | 3 | that share among the slots that the opening did not tell |
    | `efficiency` | 3 | `success` times the fewest turns that could do, over the turns taken |
    | `relevance` | a factor | the share of turns on topic |

    A turn is on topic if it books, or asks for something missing and nothing told already, and for
    one thing only where the guest has asked for that. Reported, too, and not paid: `turns`; and
    `facts`, the names and numbers that the agent said and the guest wants, as a share of those that
    are wanted or, if that is more, of those said. They are found in the text by themselves,
    whatever the booking is read as.

    A recorded dialogue has no goal: it is paid its `turn_f1` (see `TurnF1`), and the others are 0.

    What it resists: without a booking nothing is paid, however much was asked. A booking in the
    first turn, whether or not it asks something as well, gets at most 3/17 of the share that the
    opening told. A hedge that names several values of a slot has none of them right, and a booking
    of more than twice the words that it needs, such as all that the guest said, is none. To ask for
    everything, whatever was told, gets half at most. What it does not see: the words. A rude or
    garbled turn with the right keywords counts like a polite one; add a penalty of length, or
    another reward, where that matters.

    Attributes:
        weights: The components' weights by name, if not the above; those left out weigh nothing.
    """

    weights: dict[str, float] | None = None
    name: ClassVar[str] = "dialogue"

    def __post_init__(self) -> None:
        weights = self._weights() if isinstance(self.weights, dict | None) else {}
        numbers = [w for w in weights.values() if isinstance(w, int | float) and isfinite(w)]
        known = set(weights) <= set(_WEIGHTS) and len(numbers) == len(weights)
        if not known or min(numbers, default=0) < 0 or sum(numbers) <= 0:
            raise ConfigError(
                f"The weights of reward '{self.name}' are {self.weights!r}; use numbers from 0 up, "
                f"not all 0, for {', '.join(_WEIGHTS)}."
            )

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        with_goal = [e.example.metadata.get("goal") is not None for e in episodes]
        outcomes = [
            _quality(episode) if has_goal else _NOTHING
            for episode, has_goal in zip(episodes, with_goal, strict=True)
        ]
        names = (*_WEIGHTS, "relevance", "turns", "facts")
        components = {key: np.array([outcome[key] for outcome in outcomes]) for key in names}
        weights = self._weights()
        total = np.zeros(len(episodes))
        for key, weight in weights.items():
            total += weight * components[key]
        total *= components["relevance"] / sum(weights.values())
        recorded = [i for i, has_goal in enumerate(with_goal) if not has_goal]
        if recorded:
            replayed = TurnF1()([episodes[i] for i in recorded])
            total[recorded] = replayed.total
            for key, values in replayed.components.items():
                components.setdefault(key, np.zeros(len(episodes)))[recorded] = values
        return RewardResult(total, components)

    def _weights(self) -> dict[str, float]:
        return dict(_WEIGHTS if self.weights is None else self.weights)


# Whole numbers, so that the weighted mean of ones is 1 and not 0.9999999999999999.
_WEIGHTS: dict[str, float] = {
    "success": 8,
    "slots": 3,
    "withheld": 3,
    "efficiency": 3,
}


_NOTHING = dict.fromkeys((*_WEIGHTS, "relevance", "turns", "facts"), 0.0)


def _quality(episode: Episode) -> dict[str, float]:
    example = episode.example
    guest = follow(example, episode.responses)
    booked = guest.booking or {}
    known = guest.goal if guest.in_book else guest.known
    right = {
        slot: float(slot in known and booked.get(slot) == known[slot])
        for slot in definite_slots(guest.goal)
    }
    withheld = [value for slot, value in right.items() if slot not in example.metadata["revealed"]]
    success = float(all(right.values()))
    turns = max(guest.turns, 1)
    return {
        "success": success,
        "slots": sum(right.values()) / len(right),
        "withheld": sum(withheld) / len(withheld),
        "efficiency": success * min(1.0, guest.needed_turns / turns),
        "relevance": guest.on_topic / turns,
        "turns": float(guest.turns),
        "facts": _facts(guest.goal, episode.response),
    }


# Every name of a booking, and every number with its minutes: "old town", "Friday", "7:30".
_FACT = re.compile(
    "|".join(
        (
            *(rf"\b{value}\b" for slot in ("food", "area", "day") for value in SLOTS[slot]),
            r"\d+(?::\d+)?",
        )
    ),
    re.IGNORECASE,
)


def _facts(goal: Mapping[str, str], text: str) -> float:
    """Returns the share of names and numbers in a text that are those of a goal."""
    wanted, named = (
        Counter(fact.lower() for fact in _FACT.findall(said))
        for said in (" ".join(value for value in goal.values() if value != ANY), text)
    )
    return (wanted & named).total() / max(wanted.total(), named.total())


@dataclass(frozen=True)
class TurnF1:
    """Mean token F1 of the agent's turns, each against the recorded turn in its place; in [0, 1].

    For recorded dialogues, whose references follow each other rather than being alternatives.
    Components: "turn_f1" (the total) and "turns" (how many the agent took).
    """

    name: ClassVar[str] = "turn_f1"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        f1 = token_f1()
        total, turns = np.zeros(len(episodes)), np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            if "user_turns" not in episode.example.metadata:
                raise RewardError(
                    f"Reward '{self.name}' compares with recorded turns, and example "
                    f"'{episode.example.id}' is not a recorded dialogue. Use another reward, such "
                    "as 'dialogue' or 'token_f1'."
                )
            # A dialogue may end at `max_turns`, before its recording does.
            pairs = zip(episode.responses, episode.example.references, strict=False)
            scores = [f1.compare(f1.split(said), f1.split(recorded)) for said, recorded in pairs]
            total[i] = np.mean(scores) if scores else 0.0
            turns[i] = len(episode.responses)
        return RewardResult(total, {self.name: total, "turns": turns})


def selection() -> BestOverReferences[str]:
    """1 if the response is the right candidate, but for case and white space, else 0.

    Stricter than `exact_match`, which ignores punctuation and articles: candidates may differ in
    nothing else. A response that lists several candidates is none of them.
    """
    return BestOverReferences("selection", normalised, operator.eq)
