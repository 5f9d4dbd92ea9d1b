"""What is said beside an answer without changing it: "18!", "18, not 20", "18 (18 = 9 + 9)"."""

from __future__ import annotations

import re

_SENTENCE = 200  # characters of a sentence that are looked at

_REJECTED = re.compile(
    r"(?:[,;(]\s*(?:and |but )?not|(?<=[\d%)]) not|\(?\b(?:instead of|rather than))"
    r" [-$]*\d[\d.,]*%?(?: [a-z]+)?\)?[\s.*$]*$"
)
CHECKED = re.compile(r"([^=]*)\s\(([^()=]*)=([^()=]*)\)[\s.*]*")
"""An answer, and an equation in brackets that says how it came about."""

_EXCLAIMED = re.compile(
    r"(?<=\d)([*_\"')”]*)(?:!(?=[*_\"')”]*(?:\s*$|\s*\n|\s+[\"'“*]*[A-Z]|</|<\|))"
    r"|！(?!\s*[=+*/!！-]))"
)
# Where "!" may be the factorial: in formulas, and behind what counts ways.
_FACTORIAL = re.compile(
    r"[\\=^+]|permut|arrang|combin|factor|ways|order|equal|express|排列|阶乘", re.IGNORECASE
)


def without_rejected(text: str) -> str:
    """Leaves out a number at the end that is named as wrong: ", not 20", "instead of 20"."""
    return _REJECTED.sub("", text)


def without_exclamations(text: str) -> str:
    """Writes a "!" behind a number as a full stop where it ends a sentence in words."""
    return _EXCLAIMED.sub(_calm, text) if "!" in text or "！" in text else text


def _calm(match: re.Match[str]) -> str:
    """Makes a "!" a full stop if the sentence that it ends is one of words, and no formula."""
    said = match.string[max(0, match.start() - _SENTENCE) : match.start()]
    sentence = re.split(r"[.:;?!]\s|[\n。：？！]", said)[-1]
    is_formula = _FACTORIAL.search(sentence) or not re.search(r"[^\W\d_]{2}", sentence)
    return match.group() if is_formula else f"{match[1]}."
