"""Generated datasets: item i is a pure function of (generator, split, seed, i)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, get_args

import numpy as np

from textenv.datasets.base import SPLITS, Split, split_of
from textenv.errors import ConfigError, DatasetError, UnknownNameError
from textenv.examples import Example
from textenv.tasks.base import Task

# A split holds a tenth of all content at least, so 1000 draws miss it with probability 1e-46.
_MAX_DRAWS = 1000

Difficulty = Literal["easy", "medium", "hard"]
DIFFICULTIES: tuple[Difficulty, ...] = get_args(Difficulty)

_T = TypeVar("_T")


class Picker:
    """Choices drawn from blocks of random numbers: far quicker than one call to `rng` for each."""

    _BLOCK = 64

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._numbers: list[int] = []

    def below(self, n: int) -> int:
        """Draws an integer in 0 .. n - 1, for n far below 2**31."""
        return (self._numbers or self._refill()).pop() % n

    def pick(self, options: tuple[_T, ...]) -> _T:
        """Draws one of the options."""
        return options[(self._numbers or self._refill()).pop() % len(options)]

    def distinct(self, options: tuple[_T, ...], k: int) -> tuple[_T, ...]:
        """Draws k of the options in random order, each at most once."""
        pool = list(options)
        return tuple(
            [pool.pop((self._numbers or self._refill()).pop() % len(pool)) for _ in range(k)]
        )

    def _refill(self) -> list[int]:
        self._numbers = self._rng.integers(2**31, size=self._BLOCK).tolist()
        return self._numbers


class Generator(Protocol):
    """Draws one row at a time; holds no state, so that equal random numbers give equal rows.

    One that suits only some settings of its task may have a method `check_task(task)`, which raises
    a ConfigError for the others.
    """

    def sample(self, rng: np.random.Generator) -> tuple[str, Mapping[str, Any]]:
        """Draws a row.

        Returns:
            content: Text that decides the row's split. It must be a part of what the agent sees
                (the document, the sentence to translate), so that no prompt can lie in two splits.
            row: The values of the task's fields, keyed by their names.
        """
        ...


@dataclass(frozen=True)
class GradedGenerator:
    """What generators with a difficulty share.

    Attributes:
        difficulty: "easy", "medium" or "hard".
    """

    difficulty: Difficulty = "medium"

    def __post_init__(self) -> None:
        if self.difficulty not in DIFFICULTIES:
            raise UnknownNameError("difficulty", self.difficulty, DIFFICULTIES)


@dataclass(frozen=True)
class ProceduralDataset:
    """One split of a generated dataset; a `TextDataset`.

    Rows are drawn until the content of one belongs to the split, so splits are disjoint whatever
    the seed: no training seed can show a test item.

    Attributes:
        name: Name of the dataset, with which the ids of its examples begin.
        generator: Generator of the rows.
        task: Task that turns rows into examples.
        split: Name of the split.
        seed: Seed of the stream; another seed is another, unrelated stream.
        size: The number of examples.
    """

    name: str
    generator: Generator
    task: Task
    split: Split = "train"
    seed: int = 0
    size: int = 1_000_000

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise UnknownNameError("split", self.split, SPLITS)
        if self.seed < 0:
            raise ConfigError(f"The seed of dataset '{self.name}' is {self.seed}; use 0 or more.")
        if not 0 < self.size <= 2**32:
            raise ConfigError(
                f"The size of dataset '{self.name}' is {self.size}; it must lie in 1 .. 2**32."
            )

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Example:
        """The example at `index`; the same one at every call, in every process.

        Raises:
            IndexError: The index is outside 0 .. len - 1.
        """
        if not 0 <= index < self.size:
            raise IndexError(
                f"Dataset '{self.name}' has no example {index}: indices go from 0 to "
                f"{self.size - 1}."
            )
        # The index comes first: it is one 32-bit word, so no two (index, seed) pairs spell the
        # same entropy, however large the seed.
        rng = np.random.default_rng([index, self.seed])
        for _ in range(_MAX_DRAWS):
            content, row = self.generator.sample(rng)
            if split_of(content) == self.split:
                return self.task.example(f"{self.name}/{self.split}/{self.seed}/{index}", row)
        raise DatasetError(
            f"Dataset '{self.name}' found no {self.split} content in {_MAX_DRAWS} draws: its "
            "generator has too few distinct contents to fill three splits."
        )
