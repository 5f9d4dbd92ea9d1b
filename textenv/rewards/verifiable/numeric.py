"""Whether the number that a solution ends with is the right one, by the rules of GSM8K.

Paper: Cobbe et al., "Training Verifiers to Solve Math Word Problems" (2021).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar

import numpy as np

from textenv.errors import RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.best_over_references import references_of
from textenv.rewards.thinking import answer_part
from textenv.rewards.verifiable.numbers.answer_mark import marked_answer
from textenv.rewards.verifiable.numbers.number_grammar import find_numbers, split_tokens
from textenv.rewards.verifiable.numbers.number_neighbours import Token
from textenv.rewards.verifiable.numbers.number_words import COMPOUND, VARIABLES
from textenv.rewards.verifiable.numbers.plain_text import plain_characters, plain_latex
from textenv.rewards.verifiable.numbers.remarks import (
    CHECKED,
    without_exclamations,
    without_rejected,
)

_TOLERANCE = Fraction(1, 10**6)

_WHOLE = re.compile(r"\s*\$?(-?\d{1,60})\.?\s*")
# What stands between two numbers that are offered side by side: "18 or 20", "17, 18", "17 18".
_SIDE_BY_SIDE = re.compile(
    r"(?:[\s,;/|&$€£.%~–—+*×·÷^<>(\[{}_'\"-]|\b(?:or|and|to|out|of|by|x|either|maybe|perhaps)\b"
    r")*",
    re.IGNORECASE,
)
_SYMBOL_ALONE = re.compile(r"[\s$]*(?:[A-Za-z]|\\(?!pi|infty)[A-Za-z]+)(?:_\w)?[\s$.]*")
# "x = 5, y = 6", "f(1) = 5 and f(2) = 6"
_SYMBOL = r"(?:\\?[A-Za-z]{1,4}\s?\([^()=]*\)|[A-Za-z](?:_\w)?)"
_ASSIGNED = re.compile(
    rf"(?<![\w)*/+-]){_SYMBOL}\s*=\s*\S+\s*(?:[,;&$]|\b(?:and|or)\b)+[\s$]*{_SYMBOL}\s*=$"
)
_HEDGE = re.compile(r"\bor\b", re.IGNORECASE)
_RELATION = re.compile(r"[<>≤≥≠]|[!/\\]$")
# Signs of an expression, wherever they stand in an answer.
_OF_EXPRESSIONS = re.compile(r"[\\^√∞±∪∩∈≤≥≠_]")
_OPERATOR = re.compile(
    r"[-+*/^×·÷|\d]|\\(?:sqrt|[dt]?frac|log|ln|sin|cos|tan|sum|prod|int|lim|binom|lfloor|lceil|det)"
)
# What only names a quantity: x_1, f(2), P(A).
_NAMED = re.compile(r"_(?:\w|\{\s*\w+\s*\})|(?<![A-Za-z])[A-Za-z]\([^()]*\)\s*$")
_LAST_DIGIT = re.compile(r".*[\d¼-¾⅐-⅞]", re.DOTALL)
_MAX_ANSWER = 1000  # characters of a marked answer; what is longer says more than one number
_WINDOW = 200  # characters before and behind the last digit that are looked at
_CLAUSE = re.compile(
    r"[\n=→⇒]|[.,;:?]\s|\b(?:so|then|and|thus|hence|therefore|gives|get|means|if|when|where)\b"
)
_NUMBER_ALONE = re.compile(r"[\s$\d.,]*\d[\s$]*")
_TIMES = re.compile(r"(?<=\d)\s*[xX]\s*(?=[\d$])")
# Two equations: "x = 5, y =", of which the last is not all that is said.
_SEVERAL = re.compile(r"=.*(?:,(?!\d{3})|[;&]|\band\b|\bor\b)", re.DOTALL)


def final_number(text: str) -> Fraction | None:
    r"""Finds the one number that a text gives as its answer.

    1. Thoughts, in `<think>...</think>`, are left out.
    2. If the text has a mark ("####", "\boxed{", "answer is", "answer:"), what counts is what
       follows the last one: to the end of its line after "####", of its sentence after "answer",
       to the closing brace of a box. `read_number` reads it.
    3. Without a mark it is the last number of the text, unless another number stands right
       before it ("18 or 20", "17, 18", "20 - 2", "5 hours 30 minutes"), or one is joined to it by
       "or" in the same sentence: these are several answers, or none yet.

    A rejected number ("18, not 20") and an equation in brackets that gives the number again
    ("18 (18 = 9 + 9)") are left out; "!" is a full stop at the end of a sentence in words.
    What a number is, and what touching it makes it none, says `number_grammar`. If the last digits
    of the text are none ("12:00", "5x"), there is no number.

    Returns:
        Its exact value, or None if the text gives no number, or more than one.
    """
    text = without_exclamations(answer_part(text))
    marked = marked_answer(text)
    if marked is None:
        return _last_number(text)
    if marked.is_part:
        return None
    number = read_number(marked.text, in_math=marked.mark == "box")
    if marked.beside is not None and read_number(marked.beside, in_math=True) != number:
        return None
    return number


def read_number(text: str, in_math: bool = False) -> Fraction | None:
    r"""Reads a text that says nothing but an answer, such as "18 apples" or "9 * 2 = 18".

    Of an equation only what follows the last "=" counts, and that must hold one number, or several
    that are equal. Intervals, sets, tuples, inequalities, equations of variables, and expressions
    with roots, powers or constants have none.

    Args:
        text: The answer, on its own.
        in_math: Whether single letters are variables, as within "\boxed{}".
    """
    whole = _WHOLE.fullmatch(text)
    if whole:
        return Fraction(int(whole[1]))
    if len(text) > _MAX_ANSWER:
        return None
    text = plain_latex(plain_characters(text)).replace("≈", "=")
    checked = CHECKED.fullmatch(text)
    if checked and (number := read_number(checked[1], in_math)) is not None:
        return _checked(number, checked)
    left, equals, region = without_rejected(text).rpartition("=")
    if equals and "=" not in left and _SYMBOL_ALONE.fullmatch(region):
        return read_number(left, in_math)  # 18 = x
    if equals and _NUMBER_ALONE.fullmatch(left) and read_number(left) != read_number(region):
        return None  # 0 = 1
    if equals and (_SEVERAL.search(left) or _RELATION.search(left) or is_equation(left)):
        return None
    tokens = split_tokens(re.sub(r"^[\s$]*([-+])\s+", r"\1", region))
    if any(_is_expression(token, in_math) for token in tokens):
        return None
    values = {number.value for number in find_numbers(tokens)}
    return values.pop() if len(values) == 1 else None


def _checked(number: Fraction | None, match: re.Match[str]) -> Fraction | None:
    """Returns a number if one side of the equation in brackets behind it gives it again."""
    return number if number in (read_number(match[2]), read_number(match[3])) else None


def is_equation(left: str) -> bool:
    """Tells whether the left side of an equation says more than what its right side is."""
    left = _NAMED.sub("", _TIMES.sub("*", left))
    if not _OPERATOR.search(left):
        return False
    return any(
        token.kind == "word" and len(token.text) == 1 and token.text not in "aAI"
        for token in split_tokens(left)
    )


def _is_expression(token: Token, in_math: bool) -> bool:
    if token.kind == "word":
        is_letter = len(token.text) == 1 and VARIABLES.fullmatch(token.text) is not None
        return in_math and (is_letter or token.text in ("am", "pm"))
    return token.kind == "command" or (
        token.kind == "other"
        and bool(_OF_EXPRESSIONS.search(token.text))
        and token.text not in ("_", "__")
    )


def _last_number(text: str) -> Fraction | None:
    start, stop = _last_line(text, len(text))
    said = without_rejected(text[start:stop])
    checked = CHECKED.fullmatch(said) if said.rstrip(" .*").endswith(")") else None
    if checked and (number := _checked(_last_number(checked[1]), checked)) is not None:
        return number
    tokens = _tokens_of(said)
    numbers = find_numbers(tokens)
    if len(numbers) == 1 and start > 0:  # one in the line before may be offered with it
        opening = "".join(token.text for token in tokens[: numbers[0].first])
        if _SIDE_BY_SIDE.fullmatch(opening):
            earlier = max(_last_line(text, start - 1)[0], start - 10 * _WINDOW)
            tokens = _tokens_of(text[earlier:start] + said)
            numbers = find_numbers(tokens)
    if not numbers:
        return None
    last = numbers[-1]
    left = "".join(token.text for token in tokens[: last.first]).rstrip(" $")
    if left.endswith("=") and (_ASSIGNED.search(left) or is_equation(_CLAUSE.split(left[:-1])[-1])):
        return None
    if last.value is not None and len(numbers) > 1 and numbers[-2].value != last.value:
        between = "".join(t.text for t in tokens[numbers[-2].last + 1 : last.first])
        hedged = _HEDGE.search(between) and not re.search(r"=|\n|[.!?]\s", between)
        if _SIDE_BY_SIDE.fullmatch(between) or COMPOUND.fullmatch(between) or hedged:
            return None
    return last.value


def _last_line(text: str, end: int) -> tuple[int, int]:
    """Returns where the last line with digits before `end` lies: what is near the last of them."""
    digit = _LAST_DIGIT.match(text, 0, end)
    if digit is None:
        return end, end
    at = digit.end()
    start = text.rfind("\n", 0, at) + 1
    if at - start > _WINDOW:
        start = text.find(" ", at - _WINDOW, at) + 1 or at - _WINDOW
    stop = text.find("\n", at, end)
    return start, min(stop if stop >= 0 else end, at + _WINDOW)


def _tokens_of(text: str) -> list[Token]:
    return split_tokens(plain_latex(plain_characters(text)))


def equal_numbers(found: Fraction, wanted: Fraction) -> bool:
    """True if both are whole and the same, or differ by at most 1e-6 * max(1, |wanted|)."""
    if found.denominator == wanted.denominator == 1:
        return found == wanted
    return abs(found - wanted) <= _TOLERANCE * max(Fraction(1), abs(wanted))


# A reference is scored against once for each sample of its prompt.
_number_of_reference = lru_cache(maxsize=4096)(final_number)


@dataclass(frozen=True)
class Numeric:
    """1 if the number that the response ends with is that of a reference, else 0.

    `final_number` says how it is found, in responses and references alike, and `equal_numbers`
    when two are the same. Components: "numeric" (the total) and "answered" (1 if the response
    gives one number).

    Resisted: several answers at once ("18 or 20", "#### 18 20", lists of numbers), a copy of the
    problem (its last number is not the answer, but by chance), expressions of which the number is
    a part ("2 million", "5x", "12:00"), and long texts, of which the last number alone counts. Not
    resisted: a right number after wrong steps, or after a dump of others that words or "="
    separate from it; the solution itself is not judged.
    """

    name: ClassVar[str] = "numeric"

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total, answered = np.zeros(len(episodes)), np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            wanted = [self._wanted(episode, text) for text in references_of(episode, self.name)]
            found = final_number(episode.response)
            if found is not None:
                answered[i] = 1.0
                total[i] = any(equal_numbers(found, number) for number in wanted)
        return RewardResult(total, {self.name: total, "answered": answered})

    def _wanted(self, episode: Episode, reference: str) -> Fraction:
        number = _number_of_reference(reference)
        if number is None:
            raise RewardError(
                f"Reward '{self.name}' compares numbers, and the reference {reference!r} of "
                f"example '{episode.example.id}' does not give one. End it with '#### ' and the "
                "number, or choose the reward 'math', which compares expressions."
            )
        return number
