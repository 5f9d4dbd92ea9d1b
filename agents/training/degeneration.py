"""What training has spoilt: turns that stopped ending, loops, one text for all, long-windedness.

A reward does not see all of that, and a gain hides it. Each finding is a sentence for the user,
with an example and what to do about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from agents.ppo.text_stats import is_loop
from agents.training.evaluation import Evaluation
from textenv.chat import brief
from textenv.examples import Episode

_WORSE = 0.2  # share of the turns by which something has become more frequent
_FEW_END = 0.5  # share of turns that end
_LONGER = 2.0  # times as many tokens
_LEAST_TOKENS = 8  # more tokens a turn
_QUOTED = 160  # characters


def find_spoilt(before: Evaluation, after: Evaluation) -> list[str]:
    """Compares an agent's answers to the same examples before and after training."""
    return [
        finding
        for find in (_unended, _looping, _alike, _longer)
        if (finding := find(before, after)) is not None
    ]


def _unended(before: Evaluation, after: Evaluation) -> str | None:
    was, now = (float(e.metrics["ended_by_agent"].mean()) for e in (before, after))
    if now >= _FEW_END or now > was - _WORSE:
        return None
    cut = [e for e in after.episodes if e.stop_reason != "end_of_turn"]
    return (
        f"Turns have stopped ending: {now:.0%} end by themselves, and {was:.0%} did before "
        f"training; the others are cut at max_new_tokens. {_quote(cut[:1])} Pay less for a text "
        "that breaks off, raise kl_coef, or stop earlier."
    )


def _looping(before: Evaluation, after: Evaluation) -> str | None:
    loops = [np.array([is_loop(e) for e in x.episodes]) for x in (before, after)]
    was, now = (float(found.mean()) for found in loops)
    if now < was + _WORSE:
        return None
    shown = [e for e, is_loop in zip(after.episodes, loops[1], strict=True) if is_loop]
    return (
        f"Texts repeat themselves: {now:.0%} say the same words again, and {was:.0%} did before "
        f"training. {_quote(shown[:1])} Multiply the reward by 'repetition' or 'prose', or raise "
        "kl_coef."
    )


def _alike(before: Evaluation, after: Evaluation) -> str | None:
    answers = ([episode.response for episode in x.episodes] for x in (before, after))
    (was, _), (now, text) = map(_most_common, answers)
    # Short answers are alike by right, such as names and the letters of options.
    right, _ = _most_common([e.example.references[0] for e in after.episodes])
    if now < max(was, right) + _WORSE:
        return None
    return (
        f"One text answers {now:.0%} of the examples, and the most common one answered {was:.0%} "
        f"before training: {brief(text, _QUOTED)!r}. The reward pays for it whatever is asked; try "
        "it with textenv rewards audit, and raise kl_coef."
    )


def _longer(before: Evaluation, after: Evaluation) -> str | None:
    was, now = (float(e.metrics["response_tokens"].mean()) for e in (before, after))
    if now < _LONGER * was or now < was + _LEAST_TOKENS:
        return None
    longest = after.episodes[int(after.metrics["response_tokens"].argmax())]
    return (
        f"Answers have grown from {was:.0f} to {now:.0f} tokens. {_quote([longest])} If that is "
        "padding, the reward pays for length: add 'length', or raise kl_coef."
    )


def _most_common(texts: Sequence[str]) -> tuple[float, str]:
    """Returns the share of the most common of some texts, and the text."""
    text, count = Counter(text.strip() for text in texts).most_common(1)[0]
    return count / len(texts), text


def _quote(episodes: Sequence[Episode]) -> str:
    return " ".join(f"Example '{e.example.id}': {brief(e.response, _QUOTED)!r}." for e in episodes)
