"""The command `play`: a person takes the agent's place in a terminal."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.text import Text

from textenv.cli.arguments import Dataset, EnvKeys, Id, Model, RewardText, Split
from textenv.cli.catalog import make_shown_core, print_gold
from textenv.cli.console import (
    print_candidates,
    print_findings,
    print_heading,
    print_scores,
    print_turns,
)
from textenv.cli.terminal import make_console
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.examples import Example, Turn
from textenv.preflight import find_misfits
from textenv.rewards import compute_rewards
from textenv.rollout import play_text
from textenv.tasks.base import Task

_ASK = "you> "
_CHOOSE = "your choice> "


class Person:
    """An agent that asks the person at the terminal for its answers.

    With a task the person chooses from its candidates; without one they write.
    """

    def __init__(self, console: Console, task: Task | None = None) -> None:
        self._console = console
        self._task = task
        self._n_shown = 0
        self._typed = ""

    def __call__(self, example: Example, transcript: tuple[Turn, ...]) -> str:
        """Shows what was said since the last turn, and reads the next; EOFError ends the input."""
        self.show(transcript)
        if self._task is None:
            self._typed = _read_line(_ASK)
        else:
            self._typed = self._choose(self._task.candidates(example, transcript))
        return self._typed

    def show(self, transcript: tuple[Turn, ...]) -> None:
        """Shows what was said since the last turn; one's own words only where they changed."""
        new = transcript[self._n_shown :]
        first = self._n_shown == 0
        self._n_shown = len(transcript)
        for turn in new:
            if turn.role != "assistant" or first:
                print_turns(self._console, [turn])
            elif turn.text != self._typed.strip():
                # Longer than a turn may be, or written in signs that the tokenizer lacks.
                self._console.print(Text(f"Of this was taken: {turn.text}", style="yellow"))

    def _choose(self, candidates: tuple[str, ...]) -> str:
        print_candidates(self._console, candidates)
        while True:
            typed = _read_line(_CHOOSE).strip()
            numbers = {str(number): text for number, text in enumerate(candidates)}
            if typed in numbers:
                return numbers[typed]
            self._console.print(f"Type a number from 0 to {len(candidates) - 1}.", style="yellow")


def play(
    id: Id,
    overrides: EnvKeys = None,
    index: Annotated[
        int | None, typer.Option(help="Begin at this example.", show_default="random ones")
    ] = None,
    split: Split = None,
    model: Model = None,
    dataset: Dataset = None,
    reward: RewardText = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the random examples.", show_default="a new one"),
    ] = None,
) -> None:
    """Play an environment yourself: answer, or choose a reply, and see what the reward says.

    An empty line is an empty reply, or, where there are replies to choose from, asks again; Ctrl-D
    ends.
    """
    # Where there is no line editor, plain input does.
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - importing it makes input() editable
    console = make_console()
    core, _ = make_shown_core(id, overrides, model, dataset, reward)
    print_findings(console, find_misfits(core, [split or core.split]))
    rng = np.random.default_rng(seed)
    try:
        while True:
            options: dict[str, Any] = {"index": index, "split": split}
            _play_once(console, core, core.choose_example(rng, options))
            console.print()
            if _read_line("Another one? [Y/n] ").strip().lower() in ("n", "no", "q", "quit"):
                return
            console.print()
            index = None if index is None else index + 1
    except EOFError:
        console.print("\nGoodbye.")


def _play_once(console: Console, core: TextCore, example: Example) -> None:
    turns = f" in each of up to {core.max_turns} turns" if core.max_turns > 1 else ""
    room = "a choice" if core.action_level == "select" else f"{core.max_new_tokens} tokens"
    console.print(Text(f"{example.id}: you have {room}{turns}.", style="dim"))
    person = Person(console, core.task if core.action_level == "select" else None)
    episode = play_text(core, example, person)
    person.show(episode.turns)
    result = compute_rewards(core.reward, [episode])
    components = {name: float(values[0]) for name, values in result.components.items()}
    print_heading(console, "Result")
    print_scores(console, float(result.total[0]), components)
    print_gold(console, core, play_text(core, example, core.task.gold))


def _read_line(question: str) -> str:
    try:
        return input(question)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"What was typed is no text in {error.encoding}, the encoding of this terminal: it has "
            f"the byte 0x{error.object[error.start]:02x}."
        ) from error
