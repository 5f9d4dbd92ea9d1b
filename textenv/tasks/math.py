"""Word problems: a question whose answer is one number, or an expression, and the steps there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar

from textenv.errors import ConfigError, DatasetError
from textenv.examples import Example, Turn
from textenv.rewards.verifiable.numbers.answer_mark import marked_answer
from textenv.rewards.verifiable.numeric import equal_numbers, final_number, read_number
from textenv.tasks.base import Field, Task
from textenv.tasks.rows import candidates_of, text_of

_BARE_LENGTH = {"number": 60, "expression": 500}  # characters; what is longer is a solution
_CALCULATOR = re.compile(r"<<[^<>]*>>")  # the annotations of GSM8K
# "Vendor 2" names a thing and counts none.
_LABEL = re.compile(r"(?!About|Around|Approx|Exactly|Nearly|Only|Rou|[A-Z]{2,}|Rs)[A-Z]\w+\s+#?\d+")
_TIMEOUT_S = 5.0  # for math-verify to read one answer


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

    - `answer` (default "number"): "number", or "expression" for answers such as
      `\frac{\sqrt{3}}{2}`, `[2, \infty)` and `x^2 - 1`, in LaTeX. The environment then needs
      `reward="math"`, and the extra `textenv[math]`.

    Options of `dataset={"path": "word-problems", ...}`:

    - `difficulty`: "easy" (1 or 2 calculations), "medium" (2 to 4) or "hard" (4 to 6, larger
      numbers, facts that do not matter, and sometimes cents).

    Your own rows need `question` (or `problem`), and at least one of

    - `answer` (or `final`, `final_answer`): a number, perhaps with a unit, or a worked solution
      that ends with one after "####", in a `\boxed{}` or after "answer is";
    - `solution` (or `worked_solution`): a worked solution. Where both are given they must agree,
      or the solution is completed by the answer.

    What the question is about may stand in a column of its own, `body`, as in SVAMP and ASDiv: it
    comes before the question. `candidates`, a list of at most four replies with the ideal one
    among them, is optional. The columns of GSM8K, MATH, SVAMP and ASDiv need no mapping. A row
    whose answer is no single number (times, ratios, several numbers, expressions) is refused,
    unless `answer` is "expression"; what a number is tells
    `textenv.rewards.verifiable.numbers.number_grammar`.

    ## Version History

    - v0: the first version.
    """

    fields: ClassVar[tuple[Field, ...]] = (
        Field("body", required=False, shared=True),
        Field("question", aliases=("problem",)),
        Field("answer", aliases=("final", "final_answer"), required=False),
        Field("solution", aliases=("worked_solution",), required=False),
        Field("candidates", required=False, takes="data"),
    )
    n_candidates = 4

    def __init__(self, answer: str = "number") -> None:
        if answer not in ("number", "expression"):
            raise ConfigError(
                f"The answer of MathTask is 'number' or 'expression', not {answer!r}."
            )
        self.answer = answer
        if answer == "expression":
            from textenv.rewards.verifiable.math_process import check_installed

            check_installed('task_kwargs={"answer": "expression"}')

    @property
    def instruction(self) -> str:
        """What the agent is told to do."""
        kind = "number" if self.answer == "number" else "answer in LaTeX"
        return f'Solve the problem. End with "#### " and the {kind}.'

    def example(self, id: str, row: Mapping[str, Any]) -> Example:
        """Builds an example from a problem, and its answer, its solution or both.

        The reference is the worked solution; metadata "answer" is its number, or expression.
        """
        question = text_of(id, row, "question")
        if row.get("body") is not None:
            question = f"{text_of(id, row, 'body')} {question}"
        read = _Number(id) if self.answer == "number" else _Expression(id)
        solution, answer = _solution(id, row, read)
        metadata: dict[str, Any] = {"answer": answer}
        candidates = candidates_of(id, row, solution, self.n_candidates)
        if candidates:
            metadata["candidates"] = candidates
        return Example(id, question, (solution,), metadata)

    def split_key(self, example: Example) -> str:
        """Returns the problem, without the instruction."""
        return example.prompt

    def opening(self, example: Example) -> tuple[Turn, ...]:
        """Returns the instruction and the problem, in one user turn."""
        return (Turn("user", f"{self.instruction}\n\n{example.prompt}"),)


class _Number:
    """Reads answers that are numbers."""

    kind = "number"

    def __init__(self, id: str) -> None:
        self.id = id

    def bare(self, text: str) -> Fraction | None:
        """Reads a text that is nothing but an answer."""
        if _LABEL.fullmatch(text):
            return None
        in_math = "\\" in text or (text[0] == text[-1] == "$")
        return read_number(text, in_math=in_math)

    def marked(self, text: str) -> Fraction | None:
        """Reads a solution that ends with an answer."""
        return final_number(text)

    def same(self, one: Any, other: Any) -> bool:
        """Tells whether two answers are the same."""
        return equal_numbers(one, other)

    def plain(self, answer: Any) -> Any:
        """Returns an answer as a plain value."""
        number: Fraction = answer
        return int(number) if number.denominator == 1 else float(number)

    def refusal(self, name: str, text: str) -> DatasetError:
        """Says why an answer cannot be read."""
        return DatasetError(
            f"Example '{self.id}' has {_with_article(name)} that gives no single number. It is "
            f"{text.strip()[-60:]!r}. Leave the row out (skip: unusable), end it with '#### ' and "
            "the number, or take expressions as answers, with "
            'task_kwargs={"answer": "expression"} and reward="math".'
        )


class _Expression:
    """Reads answers that are expressions, sets, intervals or words."""

    kind = "expression"

    def __init__(self, id: str) -> None:
        self.id = id

    def bare(self, text: str) -> str | None:
        """Reads a text that is nothing but an answer."""
        return self._checked(f"#### {' '.join(text.split())}")

    def marked(self, text: str) -> str | None:
        """Reads a solution that ends with an answer."""
        return self._checked(text)

    def same(self, one: Any, other: Any) -> bool:
        """Tells whether two answers are the same."""
        from textenv.rewards.verifiable.math_answer import same_expression

        return same_expression(one, other, _TIMEOUT_S)

    def plain(self, answer: Any) -> Any:
        """Returns an answer as a plain value."""
        return answer

    def refusal(self, name: str, text: str) -> DatasetError:
        """Says why an answer cannot be read."""
        return DatasetError(
            f"Example '{self.id}' has {_with_article(name)} that gives no expression which "
            f"math-verify can read. It is {text.strip()[-60:]!r}. Leave the row out (skip: "
            "unusable), or end it with '#### ' and the answer in LaTeX."
        )

    def _checked(self, text: str) -> str | None:
        from textenv.rewards.verifiable.math_answer import check_expression, find_expression

        found = find_expression(text)
        return None if found is None or check_expression(found, _TIMEOUT_S) else found


def _solution(id: str, row: Mapping[str, Any], read: _Number | _Expression) -> tuple[str, Any]:
    """Returns the worked solution of a row, which ends with its one answer, and that answer."""
    answer, solution = row.get("answer"), row.get("solution")
    if answer is None and solution is None:
        raise DatasetError(
            f"Example '{id}' has neither an answer nor a solution. Map a column to 'answer'."
        )
    if solution is None or answer is None:
        name = "answer" if solution is None else "solution"
        return _complete(id, row.get(name), name, read)
    ending, wanted = _complete(id, answer, "answer", read)
    solution = _CALCULATOR.sub("", text_of(id, row, "solution"))
    if marked_answer(solution) is None:
        end = ending if "####" in ending and "\n" not in ending else f"#### {wanted}"
        return f"{solution}\n{end}", wanted
    found = read.marked(solution)
    if found is None or not read.same(read.marked(ending), found):
        raise DatasetError(
            f"Example '{id}' has a solution that does not end with its answer. It is {wanted}. "
            "Correct the row, or leave it out (skip: unusable)."
        )
    return solution, wanted


def _complete(id: str, value: object, name: str, read: _Number | _Expression) -> tuple[str, Any]:
    """Returns a text that ends with an answer, and the answer; a bare one gets the mark of one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{Decimal(repr(value)):f}"
    text = _CALCULATOR.sub("", text_of(id, {name: value}, name))
    if marked_answer(text) is None:
        # What is longer, and does not say where its answer stands, is not guessed at.
        is_bare = "\n" not in text and len(text) <= _BARE_LENGTH[read.kind]
        is_bare &= name == "answer" or read.kind == "number"
        found = read.bare(text) if is_bare else None
        text = f"#### {text}" if found is not None else text
    else:
        found = read.marked(text)
    if found is None or read.marked(text) != found:
        raise read.refusal(name, text)
    return text, read.plain(found)


def _with_article(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"
