r"""Whether a response ends with the right expression, set or interval, by math-verify.

Source: Kydlíček, "Math-Verify" (2025), https://github.com/huggingface/Math-Verify
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from textenv.errors import ConfigError, RewardError
from textenv.examples import Episode
from textenv.rewards.base import RewardResult
from textenv.rewards.lexical.best_over_references import references_of
from textenv.rewards.options import check_number
from textenv.rewards.thinking import answer_part
from textenv.rewards.verifiable.math_process import TookTooLongError, ask, check_installed
from textenv.rewards.verifiable.numbers.answer_mark import marked_answer
from textenv.rewards.verifiable.numeric import equal_numbers, is_equation, read_number

MAX_LENGTH = 500  # characters of an expression; what is longer is none
_MAX_DEPTH = 20  # of its braces
_FORMULA = re.compile(
    r"\$\$(.+?)\$\$|(?<!\\)\$((?:\\\$|[^$\n])+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL
)
_LATEX_TEXT = re.compile(r"\\(?:text\w*|math(?:rm|bf|it)|mbox|hbox)\s*\{([^{}]*)\}")
_BASE = re.compile(r"(?<=\d)_\{?\s*(\d+)\s*\}?")
_FUNCTIONS = {"sqrt", "sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "max", "min", "gcd"}
_FUNCTIONS |= {"lcm", "det", "mod", "and"}


def find_expression(text: str) -> str | None:
    r"""Finds the expression that a text gives as its answer, without thoughts.

    It is what follows the last "####", "\boxed{" or "answer is" (its formula, if one stands there
    in dollars); without such a mark the last formula of the text; a text of one short line that
    has none is taken as it is.
    """
    text = answer_part(text).strip()
    marked = marked_answer(text)
    if marked is not None and marked.is_part:
        return None
    if marked is not None and marked.beside is not None:
        return f"{marked.beside}, {marked.text}"
    said = text[-2 * MAX_LENGTH :] if marked is None else marked.text
    formulas = _FORMULA.findall(said[: 4 * MAX_LENGTH])
    if formulas and (marked is None or (len(formulas) == 1 and marked.mark != "box")):
        said = next(filter(None, formulas[-1]))
    elif marked is None and (len(text) > 100 or "\n" in text):
        return None
    said = " ".join(re.sub(r"(?<!\\)\$|\*\*", " ", said).split())
    said = re.sub(r"^\\[(\[]\s*|\s*\\[)\]]$", "", said.rstrip(".,; ")).strip()
    return said or None


def check_expression(reference: str, timeout_s: float = 5.0) -> str | None:
    """Says in words why a reference cannot be compared; None if it can be."""
    if not _is_short(reference):
        return f"has more than {MAX_LENGTH} characters, or braces in braces in braces"
    if _words_of(reference) or read_number(reference, in_math=True) is not None:
        return None
    try:
        return None if _can_read(reference, timeout_s) else "is no expression to math-verify"
    except TookTooLongError:
        return f"takes math-verify more than {timeout_s:g} s to read"


@lru_cache(maxsize=4096)
def _can_read(reference: str, timeout_s: float) -> bool:
    return ask(reference, None, timeout_s) is not None


@lru_cache(maxsize=4096)
def same_expression(reference: str, answer: str, timeout_s: float) -> bool:
    """Tells whether an answer says what a reference says.

    Numbers are compared as `numeric` does, words as words. All else is for math-verify to tell,
    but that a point or interval, (1, 2), is no set or list; that an equation of several variables
    is not the value of one side; and that 12_8 is not 12_9.
    """
    if not _is_short(answer):
        return False
    if reference == answer:
        return True
    words, said = _words_of(reference), _words_of(answer)
    if words and said:
        return words == said
    wanted, found = read_number(reference, in_math=True), read_number(answer, in_math=True)
    if wanted is not None and found is not None and "=" not in reference:
        if equal_numbers(found, wanted):
            return True
        if "%" not in reference + answer:
            return False
    elif words or said:
        return False
    if _shape(reference) != _shape(answer) or _is_value(reference) != _is_value(answer):
        return False
    bases = _BASE.findall(reference), _BASE.findall(answer)
    if all(bases) and bases[0] != bases[1]:
        return False
    try:
        return bool(ask(reference, answer, timeout_s))
    except TookTooLongError:
        return False


def _is_short(text: str) -> bool:
    if len(text) > MAX_LENGTH:
        return False
    depth = most = 0
    for character in text:
        depth += (character in "{([") - (character in "})]")
        most = max(most, depth)
    return most <= _MAX_DEPTH


def _words_of(text: str) -> tuple[str, ...]:
    """Returns the words of an answer in words, such as "even" or "(C)"; () for an expression."""
    if read_number(text, in_math=True) is not None:
        return ()
    plain = re.sub(r"\\[,;: ]|[$.]", " ", _LATEX_TEXT.sub(r" \1 ", text))
    words = re.findall(r"[^\W\d_]+", plain)
    is_text = not re.search(r"[\d\\^=+*/<>|{}\[\]]", plain)
    is_words = any(len(word) > 2 and word.lower() not in _FUNCTIONS for word in words)
    letter = re.fullmatch(r"\s*\(?\s*([A-Z])\s*\)?\s*", plain)
    return tuple(word.lower() for word in words) if is_text and (is_words or letter) else ()


def _shape(text: str) -> bool:
    """Tells whether an answer is one pair of brackets with commas in it: a point or an interval."""
    plain = re.sub(r"\\(?:left|right|[bB]igg?[lr]?)(?![a-z])|\s", "", text)
    plain = re.sub(r"^\w\\in|^\w=", "", plain)
    if plain[:1] not in ("(", "[") or plain[-1:] not in (")", "]") or "," not in plain:
        return False
    depth = 0
    for i, character in enumerate(plain):
        depth += (character in "([") - (character in ")]")
        if depth == 0 and i < len(plain) - 1:
            return False  # (1, 2), (3, 4), or a union
    return True


def _is_value(text: str) -> bool:
    """Tells whether an answer is a value, perhaps with its name: no equation or inequality."""
    left, equals, _ = text.rpartition("=")
    return not equals or not is_equation(left)


class MathAnswer:
    r"""1 if the response ends with the expression of a reference, by math-verify, else 0.

    For answers such as `\frac{\sqrt{3}}{2}`, `x^2 - 1`, `[2, \infty)`, `\{1, 2\}` and
    `y = 2x + 3`, in LaTeX, and in words. The answer is what follows the last "####", "\boxed{" or
    "answer is", in responses and references alike; without one, the last formula. Components:
    "math" (the total) and "answered" (1 if there is an answer, right or wrong).

    It runs in a process of its own, one for all rewards, and is safe in threads. An answer that
    takes too long, such as `9^9^9^9`, that has more than 500 characters, or that cannot be read
    scores 0. Not resisted: a right answer after wrong steps; a reference that the response writes
    in another form without simplifying it (6 as 3!); a missing base (12 for `12_8`).

    Args:
        timeout_s: Seconds of the processor that comparing one answer may take. How much is done
            within them depends on the machine.

    Raises:
        ConfigError: An option is not valid, or math-verify is missing.
    """

    name = "math"

    def __init__(self, timeout_s: float = 3.0) -> None:
        if check_number(self.name, "timeout_s", timeout_s) <= 0:
            raise ConfigError(f"The timeout_s of reward '{self.name}' must be above 0.")
        check_installed(f"Reward '{self.name}'")
        self._timeout_s = float(timeout_s)

    def __call__(self, episodes: Sequence[Episode]) -> RewardResult:
        """Scores the episodes, in order."""
        total, answered = np.zeros(len(episodes)), np.zeros(len(episodes))
        for i, episode in enumerate(episodes):
            wanted = [self._wanted(episode, text) for text in references_of(episode, self.name)]
            found = find_expression(episode.response)
            if found is not None:
                answered[i] = 1.0
                total[i] = any(same_expression(one, found, self._timeout_s) for one in wanted)
        return RewardResult(total, {self.name: total, "answered": answered})

    def _wanted(self, episode: Episode, reference: str) -> str:
        expression = find_expression(reference)
        problem = "gives none" if expression is None else check_expression(expression)
        if expression is None or problem:
            raise RewardError(
                f"Reward '{self.name}' compares expressions, and the reference "
                f"{reference[-200:]!r} of example '{episode.example.id}' {problem}. End it with "
                "'#### ' and the answer in LaTeX, or leave the row out."
            )
        return expression
