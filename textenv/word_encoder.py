"""Encodes text word by word from memory, several times as quickly as the tokenizer itself.

A byte-level BPE of GPT-2's kind divides text by a pattern and encodes each piece by itself, so a
piece that was seen before need not be encoded again. Generated data has few different words: in
whole episodes on fresh prompts, encoding them was the greatest cost. Other tokenizers, and text
that is not ASCII, are left to the `tokenizers` library.

Source of the pattern: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# GPT-2's pattern for ASCII. White space is spelled out: Python's "\\s" has four characters more.
_PIECES = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^ \t-\r A-Za-z0-9]+"
    r"|[ \t-\r]+(?![^ \t-\r])|[ \t-\r]+"
)
_MOST_KNOWN = 1 << 16


class WordEncoder:
    """The memory of one tokenizer, which has to be one that `remembers_words` accepts."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Returns the token ids of an ASCII text, without special tokens."""
        known = self._known
        ids: list[int] = []
        for piece in _PIECES.findall(text):
            found = known.get(piece)
            ids += self._learn(piece) if found is None else found
        return ids

    def _learn(self, piece: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(piece, add_special_tokens=False).ids
        if len(self._known) >= _MOST_KNOWN:  # text without end, such as a large data set's
            self._known.clear()
        self._known[piece] = ids
        return ids


def remembers_words(tokenizer: Tokenizer) -> bool:
    """Tells whether a tokenizer encodes the pieces of GPT-2's pattern, each by itself."""
    data = json.loads(tokenizer.to_str())
    division, model = data["pre_tokenizer"] or {}, data["model"]
    return (
        data["normalizer"] is None
        and division.get("type") == "ByteLevel"
        and division.get("use_regex", True)
        and not division.get("add_prefix_space", True)
        and model.get("type") == "BPE"
        and not model.get("dropout")
        # Other added tokens are found in the text before it is divided.
        and all(token["special"] for token in data["added_tokens"])
    )
