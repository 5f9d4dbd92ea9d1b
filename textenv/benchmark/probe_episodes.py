"""Where probes are played: the examples, with one reference held out where there are several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from textenv.datasets import SPLITS
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.examples import Episode, Example, Turn
from textenv.tasks.base import Task
from textenv.tasks.candidates import shuffled

ALL_SPLITS = "all"
_MOST_HELD_OUT = 4  # references of one example


@dataclass(frozen=True)
class Case:
    """One comparison: a human text, and the example as the reward is to see it."""

    owner: int  # the number of the example; one with held-out references has several cases
    example: Example  # without the reference that is held out
    # The human text. Of a conversation, the first ideal turn.
    reference: str


@dataclass(frozen=True)
class TextPlayer:
    """Plays whole texts, without tokens, windows and budgets."""

    # How an episode opens and goes on; None for one turn after the bare prompt.
    task: Task | None = None
    max_turns: int = 1  # the most turns of the agent

    def play(self, case: Case, write: Callable[[str], str | None]) -> Episode | None:
        """Plays an episode; None if a text cannot be written.

        `write` is given the human text for a turn, and returns what to say in its place.
        """

        def say(turns: Sequence[Turn]) -> str | None:
            human = case.reference
            if self.task is not None and self.max_turns > 1:
                human = self.task.gold(case.example, tuple(turns))
            text = write(human)
            return None if text is None else text.strip()

        return self.converse(case.example, say)

    def converse(
        self, example: Example, say: Callable[[Sequence[Turn]], str | None]
    ) -> Episode | None:
        """Plays an episode; None if a text cannot be written.

        `say` is given the turns so far, and returns the agent's next one.
        """
        turns = list(self.opening(example))
        n_opening = len(turns)
        for _ in range(self.max_turns):
            text = say(turns)
            if text is None:
                return None
            turns.append(Turn("assistant", text))
            reply = None if self.task is None else self.task.reply(example, tuple(turns))
            if reply is None:
                break
            turns.append(reply)
        if turns[-1].role != "assistant":
            turns.pop()  # the reply to a last turn, which nobody hears
        return Episode(example, tuple(turns), n_opening=n_opening)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the first messages of an episode."""
        if self.task is None:
            return (Turn("user", example.prompt),)
        return tuple(self.task.opening(example))

    def gold(self, example: Example) -> str:
        """Returns the ideal first turn."""
        if self.task is None:
            return example.references[0]
        return self.task.gold(example, self.opening(example))


def draw_examples(
    source: TextCore | Sequence[Example], n: int, split: str | None, seed: int
) -> tuple[list[Example], TextPlayer]:
    """Draws two examples or more that have references, each once, in the order of their source."""
    if n < 2:
        raise ConfigError(f"An audit needs at least 2 examples, not {n}.")
    rng = np.random.default_rng(seed)
    if isinstance(source, TextCore):
        names = SPLITS if split == ALL_SPLITS else (split,)
        parts = [source.dataset(name) for name in names]
        starts = np.cumsum([0, *map(len, parts)])
        found = []
        for place in _choose(rng, int(starts[-1]), n):
            part = int(np.searchsorted(starts, place, side="right")) - 1
            found.append(parts[part][place - int(starts[part])])
        player = TextPlayer(source.task, source.max_turns)
    else:
        if split is not None:
            raise ConfigError(f"Examples have no splits; leave out split='{split}'.")
        found = [source[place] for place in _choose(rng, len(source), n)]
        player = TextPlayer()
    if len(found) < 2:
        raise ConfigError(f"An audit needs at least 2 examples, and there is {len(found)}.")
    bare = next((example.id for example in found if not example.references), None)
    if bare is not None:
        raise ConfigError(f"Example '{bare}' has no reference to compare probes with.")
    return found, player


def hold_out(examples: Sequence[Example], player: TextPlayer) -> tuple[list[Case], bool]:
    """Makes the cases, and tells whether references are held out.

    Where at least half of the examples have several different references, each is held out in turn
    (of more than four, four by a hash), and examples with one are left out. Else, and in
    conversations, the ideal text is scored against all references, itself among them.
    """
    several = [example for example in examples if len(set(example.references)) > 1]
    if player.max_turns > 1 or len(several) < 2 or 2 * len(several) < len(examples):
        cases = [Case(i, example, player.gold(example)) for i, example in enumerate(examples)]
        return cases, False
    cases = []
    for i, example in enumerate(several):
        # Some data have the same reference twice, which would be its own judge.
        references = tuple(dict.fromkeys(example.references))
        for held in shuffled(example.id, references)[:_MOST_HELD_OUT]:
            others = tuple(text for text in references if text != held)
            cases.append(Case(i, replace(example, references=others), held))
    return cases, True


def _choose(rng: np.random.Generator, available: int, n: int) -> list[int]:
    if available <= n:
        return list(range(available))
    return sorted(rng.choice(available, size=n, replace=False).tolist())
