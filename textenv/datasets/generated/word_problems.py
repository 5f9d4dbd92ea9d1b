"""The generated set "word-problems": a story with numbers, a question, and its worked solution.

A story is drawn move by move (`word_problem_stories`), each with its calculation, so that the
solution is right by construction. Beside it stand three wrong solutions, which take the wrong
operation or the right numbers in the wrong places, miss a step or make one too many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from textenv.datasets.generated.procedural import GradedGenerator, Picker
from textenv.datasets.generated.word_problem_stories import SITUATIONS, Move, Situation
from textenv.datasets.generated.words import DAYS, FIRST_NAMES, MEN, TOWNS, WOMEN

_N_STEPS: Mapping[str, tuple[int, ...]] = {"easy": (1, 2), "medium": (2, 3, 4), "hard": (4, 5, 6)}
# The largest amount, count and amount for each; the smallest is 2.
_LARGEST: Mapping[str, Mapping[str, int]] = {
    "easy": {"n": 30, "k": 6, "m": 12},
    "medium": {"n": 50, "k": 9, "m": 20},
    "hard": {"n": 99, "k": 12, "m": 30},
}
_PARTS = {2: "half of", 3: "a third of", 4: "a quarter of", 5: "a fifth of"}
_TIMES = {2: "twice", 3: "three times", 4: "four times", 5: "five times"}
_PERCENTS = (10, 20, 25, 30, 40, 50, 60, 75, 80)
_TAXES = (5, 10, 15, 20)
_ROUND = (5, 10, 20, 50, 100)
_CENTS = (0, 5, 10, 20, 25, 40, 50, 60, 75, 80, 95)

_N_CANDIDATES = 4
_MAX_TRIES = 20

# A number, and whether it is in dollars. ~i stands for the result of line i, in dollars if the
# story is.
_Operand = tuple[int, bool]
_Line = tuple[_Operand, str, _Operand]


def _compute(left: int, operation: str, right: int) -> int | None:
    """Returns an exact positive result, or None if there is none."""
    if operation == "+":
        result = left + right
    elif operation == "-":
        result = left - right
    elif operation == "*":
        result = left * right
    else:
        result, rest = divmod(left, right) if operation == "/" else divmod(left * right, 100)
        if rest:
            return None
    return result if result > 0 else None


def _results(lines: list[_Line]) -> list[int] | None:
    """Returns the result of every line, or None if one of them has none."""
    results: list[int] = []
    for (left, _), operation, (right, _) in lines:
        left = results[~left] if left < 0 else left
        right = results[~right] if right < 0 else right
        result = _compute(left, operation, right)
        if result is None:
            return None
        results.append(result)
    return results


def _written(lines: list[_Line], results: list[int], cents: bool) -> str:
    """Writes a solution: a line for each calculation, and the answer as GSM8K marks it."""

    def number(value: int, dollars: bool) -> str:
        return f"{value // 100}.{value % 100:02d}" if cents and dollars else str(value)

    texts = []
    for ((left, in_left), operation, (right, in_right)), result in zip(lines, results, strict=True):
        a = number(results[~left] if left < 0 else left, in_left)
        b = number(results[~right] if right < 0 else right, in_right)
        shown = f"* {b} / 100" if operation == "%" else f"{operation} {b}"
        texts.append(f"{a} {shown} = {number(result, True)}")
    return "\n".join((*texts, f"#### {number(results[-1], True)}"))


class _Story:
    """A story while it is told.

    Attributes:
        sentences: The sentences so far.
        lines: The calculations so far.
        cents: True if amounts of money are in cents, and written with two decimals.
    """

    def __init__(self, picker: Picker, difficulty: str) -> None:
        self.sentences: list[str] = []
        self.lines: list[_Line] = []
        self._situation: Situation = picker.pick(SITUATIONS)
        self.cents = difficulty == "hard" and self._situation.money and picker.below(2) == 0
        self._picker = picker
        self._largest = _LARGEST[difficulty]
        self._number = self._start = 0
        self._operand = self._start_operand = (0, True)
        self._slots = _slots(picker, self._situation)
        self._people = picker.distinct(FIRST_NAMES, 8) if self._situation.chain else ()

    @property
    def situation(self) -> Situation:
        """What kind of story it is."""
        return self._situation

    @property
    def limit(self) -> int:
        """The largest number that makes sense in it, in cents where its amounts are."""
        return self._situation.limit * (100 if self.cents else 1)

    def tell(self, move: Move) -> bool:
        """Adds a move with numbers that fit; returns False, and changes nothing, if none did."""
        drawn = {}
        for letter in move.letters:
            number = self._draw(letter)
            if number is None:
                return False
            drawn[letter] = number
        if move.told:
            self._number = drawn[move.told]
            self._operand = (self._number, True)
        elif not self._calculate(move, drawn):
            return False
        if not self._start:
            self._start, self._start_operand = self._number, self._operand
        self._say(move, drawn)
        return True

    def add_noise(self) -> None:
        """Says something that changes nothing, anywhere before the question."""
        text = self._picker.pick(self._situation.noise)
        numbers = {
            letter: str(2 + self._picker.below(self._largest[letter] - 1)) for letter in "nkm"
        }
        place = 1 + self._picker.below(len(self.sentences) - 1)
        names = {"first": self._people[0]} if self._people else {}
        self.sentences.insert(place, text.format_map({**self._slots, **numbers, **names}))

    def _calculate(self, move: Move, drawn: Mapping[str, int]) -> bool:
        known = {"x": self._operand, "s": self._start_operand, "2": (2, False)}
        known.update((letter, (value, letter in "nmc")) for letter, value in drawn.items())
        values = {letter: operand[0] for letter, operand in known.items()}
        values.update(x=self._number, s=self._start)
        lines = []
        for left, operation, right in move.lines:
            result = _compute(values[left], operation, values[right])
            if result is None or result > self.limit:
                return False
            lines.append((known[left], operation, known[right]))
            known["_"] = (~(len(self.lines) + len(lines) - 1), True)
            values["_"] = result
        if lines:
            self._operand, self._number = known["_"], values["_"]
        self.lines += lines
        return True

    def _draw(self, letter: str) -> int | None:
        """Draws a number for a letter; None if what was drawn does not go with the story."""
        picker, number = self._picker, self._number
        if letter in "nkm":
            choices = self._situation.choices.get(letter)
            drawn = picker.pick(choices) if choices else 2 + picker.below(self._largest[letter] - 1)
            in_cents = self.cents and letter != "k"
            return 100 * drawn + picker.pick(_CENTS) if in_cents else drawn
        if letter in "pv":
            drawn = picker.pick(_PERCENTS if letter == "p" else _TAXES)
            return drawn if number * drawn % 100 == 0 else None
        if letter == "t":
            return 2 + picker.below(4)
        if letter == "c":
            unit = picker.pick(_ROUND) * (100 if self.cents else 1)
            return unit * (number // unit + 1 + picker.below(3))
        divisors = tuple(d for d in range(2, 6 if letter == "h" else 13) if number % d == 0)
        return picker.pick(divisors) if divisors and number > divisors[-1] else None

    def _say(self, move: Move, drawn: Mapping[str, int]) -> None:
        shown = {}
        for letter, value in drawn.items():
            if letter == "h":
                shown[letter] = _PARTS[value]
            elif letter == "t":
                shown[letter] = _TIMES[value]
            elif self.cents and letter in "nmc":
                shown[letter] = f"{value // 100}.{value % 100:02d}"
            else:
                shown[letter] = str(value)
        if self._people:
            told = len(self.sentences)
            shown["first"] = self._people[0]
            shown["last"], shown["next"] = self._people[max(told - 1, 0)], self._people[told]
        text = self._picker.pick(move.texts)
        self.sentences.append(text.format_map({**self._slots, **shown}))


def _slots(picker: Picker, situation: Situation) -> dict[str, str]:
    """Draws the names and words of a story."""
    name, other = picker.pick(WOMEN), picker.pick(MEN)
    he, him, his = "she", "her", "her"
    if picker.below(2):
        name, other = other, name
        he, him, his = "he", "him", "his"
    slots = {
        "name": name,
        "b": other,
        "he": he,
        "him": him,
        "his": his,
        "He": he.capitalize(),
        "His": his.capitalize(),
        "day": picker.pick(DAYS),
    }
    slots["town"], slots["town2"], slots["town3"] = picker.distinct(TOWNS, 3)
    for word, options in situation.words.items():
        slots[word], slots[f"{word}2"], slots[f"{word}3"] = picker.distinct(options, 3)
    return slots


def _tell(picker: Picker, difficulty: str) -> _Story | None:
    """Tells a story with as many steps as the difficulty asks for; None if it got stuck."""
    story = _Story(picker, difficulty)
    situation = story.situation
    n_steps = picker.pick(_N_STEPS[difficulty])
    start, end = picker.pick(situation.starts), picker.pick(situation.ends)
    n_left = n_steps - len(end.lines) - len(start.lines)
    if n_left < 0 or not story.tell(start):
        return None
    moves = list(situation.moves)
    while n_left and moves:
        move = moves.pop(picker.below(len(moves)))
        if len(move.lines) <= n_left and story.tell(move):
            n_left -= len(move.lines)
    alone = situation.chain and len(story.sentences) == 1
    if n_left or alone or not story.tell(end):
        return None
    if difficulty == "hard":
        for _ in range(1 + picker.below(2)):
            story.add_noise()
    return story


def _other_operation(picker: Picker, lines: list[_Line], cents: bool) -> list[_Line] | None:
    """Takes another operation in one line; None if the one drawn makes no sense there."""
    at = picker.below(len(lines))
    left, operation, right = lines[at]
    # Of amounts in cents, a sum of dollars and counts would be written with a wrong result.
    known = "+-*/" if not cents else "+-" if left[1] == right[1] else "*/"
    taken = picker.pick(tuple(known))
    if taken == operation:
        return None
    return [*lines[:at], (left, taken, right), *lines[at + 1 :]]


def _exchanged(picker: Picker, lines: list[_Line], cents: bool) -> list[_Line] | None:
    """Puts two numbers of the problem in the place of each other; None if these two cannot be."""
    operands = [operand for left, _, right in lines for operand in (left, right)]
    told = tuple(i for i, operand in enumerate(operands) if operand[0] >= 0)
    if len(told) < 2:
        return None
    i, j = picker.distinct(told, 2)
    one, other = operands[i], operands[j]
    if one[0] == other[0] or (cents and one[1] != other[1]):
        return None
    operands[i], operands[j] = other, one
    return [
        (operands[2 * k], operation, operands[2 * k + 1])
        for k, (_, operation, _) in enumerate(lines)
    ]


def _step_missed(picker: Picker, lines: list[_Line], cents: bool) -> list[_Line] | None:
    """Leaves out one line; None if it is the only one."""
    if len(lines) == 1:
        return None
    at = picker.below(len(lines))
    left, _, right = lines[at]
    instead = left if left[1] else right
    moved = {~i: ~(i - 1) for i in range(at + 1, len(lines))}

    def without(operand: _Operand) -> _Operand:
        return instead if operand[0] == ~at else (moved.get(operand[0], operand[0]), operand[1])

    return [(without(a), sign, without(b)) for i, (a, sign, b) in enumerate(lines) if i != at]


def _step_added(picker: Picker, lines: list[_Line], cents: bool) -> list[_Line] | None:
    """Takes a number of the problem once more, at the end; None where that makes no sense."""
    left, _, right = lines[picker.below(len(lines))]
    operand = picker.pick((left, right))
    if operand[0] < 0:
        return None
    known = "+-*/" if not cents else "+-" if operand[1] else "*/"
    return [*lines, ((~(len(lines) - 1), True), picker.pick(tuple(known)), operand)]


# Each takes the numbers of the problem: what a solution shares with it tells nothing.
_MISTAKES = (
    *(_other_operation,) * 12,
    *(_exchanged,) * 6,
    _step_missed,
    *(_step_added,) * 2,
)


def _candidates(
    picker: Picker, gold: list[_Line], cents: bool, limit: int, most_steps: int
) -> tuple[str, ...]:
    """Writes the right solution and three wrong ones, in random order.

    They form a chain in which each differs from the one before it by one mistake, and the right one
    stands anywhere: what most of them share gives nothing away. None has more than `most_steps`
    lines, so that what there is room for does not depend on the mistakes.
    """
    results = _results(gold)
    assert results is not None
    top = min(limit, 6 * max(results))
    finals, texts = {results[-1]}, [_written(gold, results, cents)]
    n_before = picker.below(_N_CANDIDATES)
    for n_mistakes in (n_before, _N_CANDIDATES - 1 - n_before):
        lines, values = gold, results
        for _ in range(n_mistakes):
            for _ in range(_MAX_TRIES):
                changed = picker.pick(_MISTAKES)(picker, lines, cents)
                found = changed and _results(changed)
                new = changed and found and found[-1] not in finals
                if changed and found and new and max(found) <= top and len(found) <= most_steps:
                    lines, values = changed, found
                    break
            else:  # a slip in the last line
                slip = values[-1]
                while slip in finals:
                    slip += 1 + picker.below(10)
                values = [*values[:-1], slip]
            finals.add(values[-1])
            texts.append(_written(lines, values, cents))
    return picker.distinct(tuple(texts), _N_CANDIDATES)


class WordProblemsGenerator(GradedGenerator):
    """Rows for `MathTask`: a "question", its "solution", the "answer" and four "candidates".

    Attributes:
        difficulty: "easy" takes 1 or 2 calculations, "medium" 2 to 4, "hard" 4 to 6, with larger
            numbers, one or two facts that do not matter, and now and then cents.
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a problem; its whole text decides the split."""
        picker = Picker(rng)
        while (story := _tell(picker, self.difficulty)) is None:
            pass
        question = " ".join(story.sentences)
        results = _results(story.lines)
        assert results is not None
        most_steps = max(_N_STEPS[self.difficulty])
        solution = _written(story.lines, results, story.cents)
        return question, {
            "question": question,
            "solution": solution,
            "answer": solution.rpartition(" ")[2],
            "candidates": _candidates(picker, story.lines, story.cents, story.limit, most_steps),
        }
