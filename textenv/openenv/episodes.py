"""The episodes of an OpenEnv server as a data set: its tasks, or else seeds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from textenv.datasets.base import SPLITS, Split, TextDataset
from textenv.errors import UnknownNameError
from textenv.examples import Example
from textenv.openenv.server_facts import ServerFacts, TaskList
from textenv.openenv.task import episode_example
from textenv.tasks.base import Task

_SEEDS = {"train": (0, 8), "validation": (8, 9), "test": (9, 10)}  # tenths of all seeds
_KEPT = 65_536  # tasks with their references


@dataclass(frozen=True)
class SeededEpisodes:
    """One split of the seeds 0 .. n_seeds - 1: the first eight tenths are for training.

    What the server does with a seed is for it to say: whether the splits share no prompt, too.
    """

    split: Split
    n_seeds: int

    def __len__(self) -> int:
        first, last = self._range()
        return last - first

    def __getitem__(self, index: int) -> Example:
        """The episode that a seed begins."""
        if not 0 <= index < len(self):
            raise IndexError(f"There is no episode {index}: there are {len(self)}.")
        seed = self._range()[0] + index
        return episode_example(f"openenv/seed/{seed}", {"seed": seed})

    def _range(self) -> tuple[int, int]:
        first, last = _SEEDS[self.split]
        return first * self.n_seeds // 10, last * self.n_seeds // 10


@dataclass(frozen=True)
class ServedTasks:
    """One split of a server's tasks.

    Attributes:
        facts: Asks the server.
        tasks: What tasks there are.
        split: The server's name for the split.
        size: The number of tasks.
        with_references: Whether the server tells prompts and ideal texts, for audits.
    """

    facts: ServerFacts
    tasks: TaskList
    split: str
    size: int
    with_references: bool
    _kept: dict[int, Example] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Example:
        """The episode of a task."""
        if not 0 <= index < self.size:
            raise IndexError(f"There is no episode {index}: there are {self.size}.")
        arguments = {"split": self.split, "index": index}
        id = f"openenv/{self.split}/{index}"
        if not self.with_references:
            return episode_example(id, arguments)
        if index not in self._kept:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            told = self.facts.task(self.tasks, self.split, index)
            self._kept[index] = episode_example(id, arguments, *_told(told))
        return self._kept[index]


@dataclass(frozen=True)
class EpisodeSource:
    """Makes the data set of a split; what `dataset=` takes.

    Attributes:
        facts: Asks the server.
        n_seeds: Number of seeds, where the server has no list of tasks.
    """

    facts: ServerFacts
    n_seeds: int

    def __call__(self, task: Task, split: Split, seed: int) -> TextDataset:
        """Returns the episodes of a split; the server alone decides what is in them."""
        tasks = _tasks(self.facts)
        if tasks is None:
            return SeededEpisodes(split, self.n_seeds)
        name = tasks.splits.get(split)
        if name is None:
            known = ", ".join(name for name in SPLITS if name in tasks.splits)
            raise UnknownNameError(
                "split", split, SPLITS, f"The OpenEnv server has {known or 'none of ours'}."
            )
        n = self.facts.n_tasks(tasks, name)
        told = _told(self.facts.task(tasks, name, 0))
        return ServedTasks(self.facts, tasks, name, n, with_references=bool(told[1]))


@lru_cache(maxsize=64)
def _tasks(facts: ServerFacts) -> TaskList | None:
    return facts.tasks()


def _told(task: object) -> tuple[str, tuple[str, ...]]:
    """Returns the prompt and the ideal texts that a server tells of a task."""
    if not isinstance(task, dict):
        return "", ()
    prompt, references = task.get("prompt"), task.get("references")
    texts = references if isinstance(references, list) else []
    return (
        prompt if isinstance(prompt, str) else "",
        tuple(text for text in texts if isinstance(text, str)),
    )
