"""The part of a response that is its answer: what a model thinks aloud beforehand is none."""

from __future__ import annotations

import re

_TAG = re.compile(r"<(/?)think(?:ing)?\s*>", re.IGNORECASE)


def answer_part(text: str) -> str:
    """Leaves out what stands in `<think>...</think>` (or `<thinking>`) blocks.

    A block that is not closed holds all that follows: there is no answer yet. A closing tag
    without an opening one ends a block that began in the prompt, so that what stands before it is
    left out as well.
    """
    if "<" not in text or not _TAG.search(text):
        return text
    kept: list[str] = []
    start: int | None = 0  # of the text outside of blocks; None within one
    for tag in _TAG.finditer(text):
        if tag[1]:
            if start is not None:
                kept.clear()
            start = tag.end()
        elif start is not None:
            kept.append(text[start : tag.start()])
            start = None
    if start is not None:
        kept.append(text[start:])
    return " ".join(kept)
