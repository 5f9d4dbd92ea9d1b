"""Plays episodes whose agent is waited for, such as one behind an endpoint: many at a time.

Each slot goes on as soon as its own answer is there, so that a slow one holds up no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TypeAlias

import numpy as np

from textenv.endpoints.requests import RequestPool
from textenv.episode import TextCore
from textenv.examples import Example, Turn
from textenv.rollout import CoreSlots, PlayedEpisode, Progress, Rollout, silent


@dataclass(frozen=True)
class Ask:
    """Where the agent is to speak.

    Attributes:
        number: Place of the episode among those that are played.
        example: What it plays.
        transcript: The conversation so far; the agent's turns with the white space around them,
            which the environment leaves out, since a model's next answer may depend on it.
    """

    number: int
    example: Example
    transcript: tuple[Turn, ...]


@dataclass(frozen=True)
class NoAnswer:
    """The agent has no answer, and its episode no score."""

    reason: str


# Answers with a whole turn; stops where the event is set. It is called from many threads.
Answerer: TypeAlias = Callable[[Ask, Event], "str | NoAnswer"]


def play_concurrently(
    core: TextCore,
    examples: Sequence[Example],
    answer: Answerer,
    *,
    concurrency: int,
    progress: Progress = silent,
) -> list[PlayedEpisode]:
    """Plays an episode of each example, unscored; episodes that run in the core are lost.

    Args:
        core: Slots; one that ends takes the next example.
        examples: What to play.
        answer: The agent.
        concurrency: Most answers that are waited for at a time.
        progress: Called with the number of finished episodes.

    Returns:
        The episodes, in the order of the examples. One that had no answer has an `invalid_reason`.

    Raises:
        Exception: What `answer` raised. What was under way by then has come to its end.
    """
    slots = CoreSlots(core, examples, scored=False)
    rollout = Rollout(slots, len(examples))
    waiting: dict[Future[str | NoAnswer], int] = {}
    said_in: dict[int, list[str]] = {}  # what the agent said, by the number of the episode
    with RequestPool(min(concurrency, core.n_slots, len(examples)), "agent") as pool:
        while len(rows := rollout.rows()):
            for row in set(rows.tolist()) - set(waiting.values()):
                number = rollout.number(row)
                turns = _as_said(core, row, said_in.get(number, []))
                ask = Ask(number, core.example(row), turns)
                waiting[pool.submit(partial(answer, ask, pool.stop))] = row
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                row, said = waiting.pop(future), future.result()
                if isinstance(said, NoAnswer):
                    rollout.give_up(row, core.episode(row), said.reason)
                else:
                    said_in.setdefault(rollout.number(row), []).append(str(said))
                    rollout.advance(np.array([row]), [said])
            progress(len(rollout.episodes), "")
    return sorted(rollout.episodes, key=lambda episode: episode.group)


def _as_said(core: TextCore, row: int, said: Sequence[str]) -> tuple[Turn, ...]:
    """Returns the conversation of a slot, with the white space that the agent wrote."""
    own = iter(said)
    turns = list(core.turns[row])
    for i in range(core.n_opening[row], len(turns)):
        if turns[i].role == "assistant":
            text = next(own)
            # What exceeds the budget of tokens was cut: then the turn is what was heard.
            if text.strip() == turns[i].text:
                turns[i] = Turn("assistant", text)
    return tuple(turns)
