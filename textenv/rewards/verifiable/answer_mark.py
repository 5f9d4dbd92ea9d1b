r"""Where a text gives its answer: after "####", in a "\boxed{}", or after "answer is"."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

_ANSWER = re.compile(
    r"(?<!check )(?<!check our )(?<!check the )(?<!check this )(?<!check my )(?<!check your )"
    r"\banswer\s*(?:\bis\b(?!\s+(?:also\s+|indeed\s+)?(?:correct|right|valid|verified))\s*:?|[:=])",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\f?boxed\s*(\{|(?=[^\s{]))|\\fbox\s*(\{)")
_SENTENCE_END = re.compile(r"(?:[.?](?=[\s*_$\"'”]|$)|!(?=\s|$))|[。।؟۔።։။។]|\n")
_OPENING = re.compile(r"(?:\s|\$\$|\\\[|\*\*|__)*")  # what may stand between a mark and its answer


class MarkedAnswer(NamedTuple):
    """An answer that a mark announces."""

    text: str
    mark: Literal["####", "box", "answer"]


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
    _, end, mark = max(marks)
    if mark == "{":
        return MarkedAnswer(_braced(text, end), "box")
    if mark == "\\":  # \boxed 5
        return MarkedAnswer(re.split(r"[\s$]", text[end:], maxsplit=1)[0], "box")
    opening = _OPENING.match(text, end)
    assert opening is not None
    if mark == "####":
        return MarkedAnswer(text[opening.end() :].partition("\n")[0], "####")
    stop = _SENTENCE_END.search(text, opening.end())
    return MarkedAnswer(text[opening.end() : stop.end() if stop else len(text)], "answer")


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
    for brace in re.compile(r"(?<!\\)[{}]").finditer(text, start):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return text[start : brace.start()]
    return text[start:]
