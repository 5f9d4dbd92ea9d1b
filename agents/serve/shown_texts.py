"""Texts that were found, as the page shows them, with the words marked that were searched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from agents.serve.text_query import FoundText
from agents.training.report.texts import Answer, Asked, Said, cut_text
from textenv.report.changes import Piece
from textenv.report.numbers import format_number

_STAGES = {
    "rollout": "sampled",
    "look": "validation",
    "before": "held out, before training",
    "best": "held out, best agent",
    "after": "held out, last agent",
}


def make_found(text: FoundText, row: dict[str, Any], words: Sequence[str]) -> Asked:
    """Returns a question with the answer that was found.

    Args:
        text: Where the answer stands.
        row: What `read_texts` yielded for it.
        words: Words and phrases to mark in the answer, in any case.
    """
    turns = row["turns"] or [{"role": "assistant", "text": row["response"]}]
    stage = _STAGES[text.place.part or text.stage]
    when = f", iteration {text.iteration}" if text.iteration >= 0 else ""
    answer = Answer(
        f"{text.run.name}: {stage}{when},",
        format_number(text.place.reward, 3),
        tuple(Said(turn["role"], mark_words(cut_text(turn["text"]), words)) for turn in turns),
        "",
    )
    references = tuple(cut_text(one) for one in row["references"])
    return Asked(row["id"], cut_text(row["prompt"]), references, (answer,))


def mark_words(text: str, words: Sequence[str]) -> tuple[Piece, ...]:
    """Divides a text into pieces that are, and that are not, one of some words."""
    if not words or not text:
        return (Piece(text, False),)
    longest_first = sorted(words, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
    pieces: list[Piece] = []
    end = 0
    for match in pattern.finditer(text):
        pieces += [Piece(text[end : match.start()], False), Piece(match[0], True)]
        end = match.end()
    pieces.append(Piece(text[end:], False))
    return tuple(piece for piece in pieces if piece.text)
