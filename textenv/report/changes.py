"""The words of a text that another one does not have at that place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

# A character of a script without spaces is a word; so is what stands between spaces elsewhere.
_UNSPACED = "\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"\s+|[{_UNSPACED}]|[^\s{_UNSPACED}]+")


@dataclass(frozen=True)
class Piece:
    """A part of a text."""

    text: str
    is_new: bool  # whether the other text does not have it


@dataclass(frozen=True)
class Change:
    """Texts with the words marked that another series of texts does not have."""

    texts: tuple[tuple[Piece, ...], ...]  # each text in pieces that follow one another
    n_new: int  # words that the other series lacks
    n_gone: int  # words that only the other series has


def mark_changes(texts: Sequence[str], others: Sequence[str] | None) -> Change:
    """Compares a series of texts, such as the turns of a dialogue, with another one word by word.

    Args:
        texts: Texts to mark.
        others: Texts to compare with; None marks nothing.
    """
    if others is None:
        return Change(tuple((Piece(text, False),) for text in texts), 0, 0)
    words, owners = _split(texts)
    other_words, _ = _split(others)
    matcher = SequenceMatcher(None, other_words, words, autojunk=False)
    is_new = [True] * len(words)
    n_kept = 0
    for block in matcher.get_matching_blocks():
        n_kept += block.size
        is_new[block.b : block.b + block.size] = [False] * block.size
    marked = [
        _pieces(text, is_new, [i for i, o in enumerate(owners) if o == n])
        for n, text in enumerate(texts)
    ]
    return Change(tuple(marked), len(words) - n_kept, len(other_words) - n_kept)


def _split(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Returns the words of all texts, and the number of the text of each."""
    found = [(w, n) for n, text in enumerate(texts) for w in _WORD.findall(text) if w.strip()]
    return [word for word, _ in found], [n for _, n in found]


def _pieces(text: str, is_new: Sequence[bool], numbers: Sequence[int]) -> tuple[Piece, ...]:
    """Joins neighbouring words of one kind; spaces between two new words are new, too."""
    flags = iter([is_new[i] for i in numbers])
    parts = [(w, next(flags) if w.strip() else None) for w in _WORD.findall(text)]
    pieces: list[Piece] = []
    for i, (word, new) in enumerate(parts):
        if new is None:
            around = (parts[j][1] for j in (i - 1, i + 1) if 0 <= j < len(parts))
            new = i not in (0, len(parts) - 1) and all(around)
        if pieces and pieces[-1].is_new == new:
            pieces[-1] = Piece(pieces[-1].text + word, new)
        else:
            pieces.append(Piece(word, bool(new)))
    return tuple(pieces)
