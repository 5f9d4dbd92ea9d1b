"""Word problems: a question whose answer is one number, with the steps that lead there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar

from textenv.errors import DatasetError
from textenv.examples import Example, Turn
from textenv.rewards.verifiable.numeric import equal_numbers, final_number
from textenv.tasks.base import Field, Task
from textenv.tasks.rows import candidates_of, text_of

_MARKS = ("####", "\\boxed")
_BARE_WORDS = 3  # "18", "18 red apples"
_CALCULATOR = re.compile(r"<<[^<>]*>>")  # the annotations of GSM8K


class MathTask(Task):
    r"""Solves a word problem step by step, and ends with the number asked for.

    ## Description

    The agent reads a problem and writes a worked solution whose last line is "#### " and the
    answer, as in GSM8K (Cobbe et al., 2021). How it gets there is its own affair: only the number
    is checked, so that the task suits work on reasoning from a verifiable reward.

    Generated problems ("word-problems") tell of thirteen kinds of situations, such as shopping,
    travel, ages, sharing and percentages. Every number along the way is exact and positive.

    At select level the replies to choose from are four worked solutions with the numbers of the
    problem: the right one, and three that take the wrong operation or the right numbers in the
    wrong places, miss a step or make one too many.

    ## Rewards

    `numeric`, by default: 1 if the final number is right, else 0. Several answers at once score 0.

    ## Starting State

    One turn of the user: the instruction and the problem, which is never shortened: a problem
    that does not fit `max_prompt_tokens` is an error.

    ## Episode End

    After the agent's first turn.

    ## Arguments

    The task takes no arguments. Options of `dataset={"path": "word-problems", ...}`:

    - `difficulty`: "easy" (1 or 2 calculations), "medium" (2 to 4) or "hard" (4 to 6, larger
      numbers, facts that do not matter, and sometimes cents).

    Your own rows need `question` (or `problem`), and at least one of

    - `answer` (or `final`, `final_answer`): a number, or a worked solution that ends with one
      after "####", in a "\boxed{}" or after "answer is";
    - `solution`: a worked solution. Where both are given they must agree, or the solution is
      completed by the answer.

    `candidates`, a list of at most four replies with the ideal one among them, is optional. The
    columns of GSM8K and MATH need no mapping; rows whose answer is no number are refused.

    ## Version History

    - v0: the first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("question", aliases=("problem",)),
        Field("answer", aliases=("final", "final_answer"), required=False),
        Field("solution", aliases=("worked_solution",), required=False),
        Field("candidates", required=False),
    )
    n_candidates = 4
    instruction: ClassVar[str] = 'Solve the problem. End with "#### " and the number.'

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from a problem, and its answer, its solution or both.

        The reference is the worked solution; metadata "answer" is its number.
        """
        question = text_of(id, row, "question")
        solution = _solution(id, row)
        number = final_number(solution)
        assert number is not None
        metadata: dict[str, Any] = {"answer": _plain(number)}
        candidates = candidates_of(id, row, solution, self.n_candidates)
        if candidates:
            metadata["candidates"] = candidates
        return Example(id, question, (solution,), metadata)

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the instruction and the problem, in one user turn."""
        return (Turn("user", f"{self.instruction}\n\n{example.prompt}"),)


def _solution(id: str, row: Mapping[str, Any]) -> str:
    """Returns the worked solution of a row, which ends with its one number."""
    answer, solution = row.get("answer"), row.get("solution")
    if answer is None and solution is None:
        raise DatasetError(
            f"Example '{id}' has neither an answer nor a solution. Map a column to 'answer'."
        )
    if solution is None:
        return _answer(id, answer, "answer")
    if answer is None:
        return _answer(id, solution, "solution")
    wanted = final_number(_answer(id, answer, "answer"))
    assert wanted is not None
    solution = _CALCULATOR.sub("", text_of(id, row, "solution"))
    found = final_number(solution)
    if found is not None and equal_numbers(found, wanted):
        return solution
    if any(mark in solution for mark in _MARKS):
        raise DatasetError(
            f"The solution of example '{id}' does not end with its answer, {_plain(wanted)}. "
            "Correct the row, or leave it out."
        )
    return f"{solution}\n#### {_plain(wanted)}"


def _answer(id: str, value: object, name: str) -> str:
    """Returns a text that gives one number; a bare number gets the mark of an answer."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{Decimal(repr(value)):f}"  # 1e+16 is no number to the reward
    text = _CALCULATOR.sub("", text_of(id, {name: value}, name))
    is_bare = len(text.split()) <= _BARE_WORDS and not any(mark in text for mark in _MARKS)
    answer = f"#### {text}" if is_bare else text
    if final_number(answer) is None:
        raise DatasetError(
            f"The {name} of example '{id}' does not end with one number: {text[-60:]!r}. End it "
            "with '#### ' and the number, or leave the row out."
        )
    return answer


def _plain(number: Fraction) -> int | float:
    return int(number) if number.denominator == 1 else float(number)
