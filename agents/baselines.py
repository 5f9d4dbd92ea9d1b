"""Agents that need no training, to hold a trained one against."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agents.evaluation import Evaluation, score_episodes
from textenv.episode import TextCore
from textenv.examples import Example, Turn

# A full stop within "3.5" is no end: white space follows one, after any closing quotes.
_FIRST_SENTENCE = re.compile(
    r".*?(?:[.!?][\"'”’)\]]*(?=\s)|[。！？][”’」』）]*|(?=\n)|\Z)", re.DOTALL
)


def first_sentence(text: str) -> str:
    """Returns a text up to its first sentence end, or line end."""
    found = _FIRST_SENTENCE.match(text.strip())
    assert found is not None, "the end of the text always matches"
    return found.group().strip()


def speak_lead_sentence(example: Example, transcript: tuple[Turn, ...]) -> str:
    """Repeats the first sentence of the task's source text."""
    return first_sentence(str(example.metadata.get("context") or example.prompt))


def cut_to_first_sentence(core: TextCore, evaluation: Evaluation) -> Evaluation:
    """Scores an agent's turns again, each cut to its first sentence.

    It tells how much of a gain is just learning to stop.
    """
    episodes = []
    for episode in evaluation.episodes:
        cut: Iterator[str] = iter([first_sentence(text) for text in episode.responses])
        episodes.append(core.play(episode.example, lambda example, turns, cut=cut: next(cut, "")))  # type: ignore[misc] # mypy cannot infer a lambda with a default
    return score_episodes(core, episodes)
