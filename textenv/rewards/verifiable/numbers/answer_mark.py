r"""Where a text gives its answer: after "####", in a "\boxed{}", or after "answer is"."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from textenv.rewards.verifiable.numbers.number_words import FOREIGN_MONTHS

_ANSWER = re.compile(
    r"(?<!check )(?<!check our )(?<!check the )(?<!check this )(?<!check my )(?<!check your )"
    r"\banswer\s*(?:\bis\b(?!\s+(?:also\s+|indeed\s+)?(?:correct|right|valid|verified))\s*:?|[:=])",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\f?boxed\s*(\{|(?=[^\s{]))|\\fbox\s*(\{)")
_BRACE = re.compile(r"(?<!\\)[{}]")
_SENTENCE_END = re.compile(
    r"(?:[.?](?=[\s*_$\"'”]|$)|!(?=\s*(?:$|\n|\s[\"'“*]*[A-Z])))|[。।؟۔።։။។]|\n"
)
_MONTH = re.compile(rf" ?(?:{'|'.join(sorted(FOREIGN_MONTHS))})\b", re.IGNORECASE)
_OPENING = re.compile(r"(?:\s|\$\$|\\\[|\*\*|__)*")  # what may stand between a mark and its answer


# What makes the content of a box a part of an expression.
_BEFORE_BOX = re.compile(
    r"(?:[-+*/^_±]|\\(?:pm|cdot|times|div|sqrt|frac)|(?:\\(?:sqrt|frac)|[\^_])\s*\{)\s*$"
)
_BEHIND_BOX = re.compile(
    r"\s*(?!\^\s*\{?\s*\\circ)(?:[-+*/^_!(±](?![-\s]*[A-Za-z]{2})|\\(?:pi|sqrt|cdot|times|div|pm|frac|left)(?![A-Za-z])"
    r"|(?<=\})(?:\d|[A-Za-z](?![A-Za-z])))"
)
_BETWEEN_BOXES = re.compile(r"(?:[\s,;&$]|\\[,;: ]|\\(?:text|mbox)\s*\{[^{}]*\}|\b(?:and|or)\b)*")


class MarkedAnswer(NamedTuple):
    """An answer that a mark announces."""

    text: str
    mark: Literal["####", "box", "answer"]
    is_part: bool = False  # of a box: whether it is one of an expression, as in \boxed{12}\pi
    beside: str | None = None  # the content of another box right before it


def marked_answer(text: str) -> MarkedAnswer | None:
    r"""Returns what follows the last mark of a text; None if it has none.

    It goes to the end of the line after "####", to the end of the sentence after "answer is" or
    "answer:", and to the closing brace of a "\boxed{}" or "\fbox{}"; without one, to the end.
    """
    at = text.rfind("####")
    marks = [(at, at + 4, "####")] if at >= 0 else []
    box = _last(_BOX, text, ("\\boxed", "\\fbox"), 0)
    if box is not None:
        marks.append((box.start(), box.end(), box[1] or box[2] or "\\"))
    answer = _last(_ANSWER, text, ("nswer", "NSWER"), 1)
    if answer is not None:
        marks.append((answer.start(), answer.end(), "answer"))
    if not marks:
        return None
    start, end, mark = max(marks)
    if mark == "{":
        boxed = _braced(text, end)
        is_part = _BEFORE_BOX.search(text, max(0, start - 20), start) is not None
        is_part |= _BEHIND_BOX.match(text, end + len(boxed) + 1) is not None
        return MarkedAnswer(boxed, "box", is_part, _box_beside(text[:start]))
    if mark == "\\":  # \boxed 5
        return MarkedAnswer(re.split(r"[\s$]", text[end:], maxsplit=1)[0], "box")
    opening = _OPENING.match(text, end)
    assert opening is not None
    if mark == "####":
        return MarkedAnswer(text[opening.end() :].partition("\n")[0], "####")
    stop = _SENTENCE_END.search(text, opening.end())
    while stop and stop[0] == "." and _MONTH.match(text, stop.end()):  # 3. Mai
        stop = _SENTENCE_END.search(text, stop.end())
    return MarkedAnswer(text[opening.end() : stop.end() if stop else len(text)], "answer")


def _box_beside(text: str) -> str | None:
    r"""Returns the content of a box that a text ends with, as in "\boxed{3} or "."""
    box = _last(_BOX, text, ("\\boxed", "\\fbox"), 0)
    if box is None or not (box[1] or box[2]):
        return None
    content = _braced(text, box.end())
    stop = box.end() + len(content) + 1
    return content if stop <= len(text) and _BETWEEN_BOXES.fullmatch(text, stop) else None


def _last(
    pattern: re.Pattern[str], text: str, parts: tuple[str, ...], offset: int
) -> re.Match[str] | None:
    """Returns the last match of a pattern that has one of the parts `offset` after its start."""
    found = None
    for part in parts:
        at = text.rfind(part)
        while at >= 0 and (match := pattern.match(text, max(0, at - offset))) is None:
            at = text.rfind(part, 0, at)
        if at >= 0 and match is not None and (found is None or match.start() > found.start()):
            found = match
    return found


def _braced(text: str, start: int) -> str:
    """Returns what stands from `start` on to the brace that closes it."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return text[start : brace.start()]
    return text[start:]
