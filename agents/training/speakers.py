"""Baselines that speak in text: the lead sentence, and an agent's answers cut to their first."""

from __future__ import annotations

import re
from dataclasses import replace

from agents.training.evaluation import Evaluation
from agents.training.held_out import score_episodes
from textenv.episode import TextCore
from textenv.examples import Example, Turn
from textenv.rollout import SpeakerWriter, play_examples

# A sentence end is followed by white space, after any closing quotes; a stop as in "3.5" is not.
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

    This shows how much of a gain comes from learning to stop.
    """
    # Samples of one example may share its object.
    examples = [replace(episode.example) for episode in evaluation.episodes]
    pairs = zip(examples, evaluation.episodes, strict=True)
    said = {id(example): episode.responses for example, episode in pairs}

    def speak(example: Example, transcript: tuple[Turn, ...]) -> str:
        after_opening = transcript[len(tuple(core.task.opening(example))) :]
        turn = sum(t.role == "assistant" for t in after_opening)
        responses = said[id(example)]
        return first_sentence(responses[turn]) if turn < len(responses) else ""

    played = play_examples(core, SpeakerWriter(core, speak), examples)
    conversations = [episode.conversation for episode in played]
    return score_episodes(core, conversations, evaluation.n_samples)
