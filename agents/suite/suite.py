"""A suite as it is played: its file, and what this installation makes of it.

The hash covers all of it: the file, each environment's settings, its examples as agents see them,
and what the lazy rule and the ideal answers earn, by which a changed reward is noticed. Results of
equal hashes can be compared; others cannot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from agents.ppo.model_card import without_paths
from agents.suite.definition import SuiteDefinition, TaskEntry
from agents.suite.lazy_rule import make_lazy_speaker
from textenv.benchmark.statistics import FloatArray
from textenv.datasets.hashes import encode
from textenv.episode import Speaker, TextCore
from textenv.errors import ConfigError
from textenv.examples import Example
from textenv.registry import environment_row
from textenv.rewards import compute_rewards
from textenv.rollout import SpeakerWriter, play_examples
from textenv.secrets import mask_secrets
from textenv.tokenization import EMBEDDED
from textenv.vector import make_core

FORMAT = 1  # of the content, of the normalisation and of how episodes are played
_DIGITS = 6  # of the measured means
_REMEDY = (
    "Install the version of textenv that the suite was made for, or give your own suite another "
    "name and leave out 'expected' and 'hash'."
)
LEAST_SPAN = 0.1  # between the lazy rule and the ideal answers


@dataclass(frozen=True)
class SuiteTask:
    """One environment of a suite.

    Attributes:
        id: Id of the environment.
        settings: Its arguments, but for the tokenizer, which is the agent's.
        lazy_rule: Rule that understands nothing.
        data: Hash of the examples as agents see them.
        lazy: Mean reward of the rule.
        gold: Mean reward of the ideal answers.
        env: Arguments of the environment that the suite's file sets; `settings` has them, too.
    """

    id: str
    settings: Mapping[str, Any]
    lazy_rule: Any
    data: str
    lazy: float
    gold: float
    env: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def normalise(self, rewards: ArrayLike) -> FloatArray:
        """Returns rewards (n,) on the scale on which the lazy rule has 0 and ideal answers 1."""
        array = np.asarray(rewards, np.float64)
        scaled: FloatArray = (array - self.lazy) / (self.gold - self.lazy)
        return scaled

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "id": self.id,
            "settings": dict(self.settings),
            "lazy_rule": self.lazy_rule,
            "data": self.data,
            "lazy": self.lazy,
            "gold": self.gold,
        }


@dataclass(frozen=True)
class Suite:
    """A suite as it is played; the file's keys are those of `SuiteDefinition`."""

    name: str
    description: str
    split: str
    examples: int
    batch_size: int
    dataset_seed: int
    seed: int
    tasks: tuple[SuiteTask, ...]

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits of BLAKE2b over `to_json`."""
        return hash_content(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Returns all that the hash covers, as plain values."""
        return {
            "format": FORMAT,
            "decoding": "greedy",
            "name": self.name,
            "description": self.description,
            "split": self.split,
            "examples": self.examples,
            "batch_size": self.batch_size,
            "dataset_seed": self.dataset_seed,
            "seed": self.seed,
            "tasks": [task.to_json() for task in self.tasks],
        }

    def make_core(self, task: SuiteTask, tokenizer: str = EMBEDDED) -> TextCore:
        """Makes the slots in which a batch of a task is played."""
        return _make_core(task.id, self, task.env, tokenizer)

    def chosen(self, core: TextCore) -> list[Example]:
        """Returns the examples of a task."""
        return _chosen(core, self)


def make_suite(definition: SuiteDefinition) -> Suite:
    """Makes a suite of its file: plays the lazy rule and the ideal answers, and hashes examples.

    Raises:
        ConfigError: Something is not what the file expects, a split has too few examples, the lazy
            rule comes too near the ideal answers, or a text looks like a password.
    """
    tasks = tuple(_make_task(entry, definition) for entry in definition.tasks)
    for task, entry in zip(tasks, definition.tasks, strict=True):
        _check_expected(task, entry, definition.name)
    suite = Suite(
        definition.name,
        definition.description,
        definition.split,
        definition.examples,
        definition.batch_size,
        definition.dataset_seed,
        definition.seed,
        tasks,
    )
    _check_readable(suite)
    if definition.hash not in (None, suite.hash):
        raise ConfigError(
            f"The suite '{suite.name}' was published with the hash {definition.hash}, and this is "
            f"{suite.hash}: something in it has changed. {_REMEDY}"
        )
    return suite


def _check_readable(suite: Suite) -> None:
    """Refuses what is masked when a result is read: its hash would not be that of the suite."""
    content = json.loads(json.dumps(suite.to_json()))
    masked = mask_secrets(content)
    for key in content:
        if content[key] != masked[key]:
            raise ConfigError(
                f"The suite '{suite.name}' has a text in '{key}' that looks like a key or a "
                "password, which results do not show. Write it in other words."
            )


def hash_content(content: Mapping[str, Any]) -> str:
    """Returns the hash of a suite's content."""
    return _digest(json.dumps(content, sort_keys=True, ensure_ascii=True))


def _make_task(entry: TaskEntry, definition: SuiteDefinition) -> SuiteTask:
    core = _make_core(entry.id, definition, entry.env)
    examples = _chosen(core, definition)
    rule = entry.to_json()["lazy"]
    lazy = _mean_reward(core, examples, make_lazy_speaker(core.task, rule))
    gold = _mean_reward(core, examples, core.task.gold)
    if gold - lazy < LEAST_SPAN:
        raise ConfigError(
            f"{entry.id}: the lazy rule earns {lazy:.3f} and the ideal answers {gold:.3f}, so "
            "scores between them say nothing. Choose another rule or reward."
        )
    data = _hash_data(core, examples)
    return SuiteTask(entry.id, _settings(core, entry), rule, data, lazy, gold, entry.env)


def _make_core(
    id: str,
    of: SuiteDefinition | Suite,
    env: Mapping[str, Any],
    tokenizer: str = EMBEDDED,
) -> TextCore:
    own = {"tokenizer": tokenizer, "split": of.split, "dataset_seed": of.dataset_seed}
    return make_core(id, of.batch_size, {**env, **own})


def _chosen(core: TextCore, of: SuiteDefinition | Suite) -> list[Example]:
    dataset = core.dataset(of.split)
    if len(dataset) < of.examples:
        raise ConfigError(
            f"The suite '{of.name}' plays {of.examples} examples, and the {of.split} split has "
            f"{len(dataset)}. Choose fewer."
        )
    return [dataset[i] for i in range(of.examples)]


def _settings(core: TextCore, entry: TaskEntry) -> dict[str, Any]:
    row = environment_row(entry.id).make_kwargs() | entry.env
    settings = {
        "task": row["task"],
        "task_kwargs": row["task_kwargs"],
        "dataset": row["dataset"],
        "reward": row["reward"],
        "action_level": core.action_level,
        "max_prompt_tokens": core.max_prompt_tokens,
        "max_new_tokens": core.max_new_tokens,
        "max_turns": core.max_turns,
    }
    # The same for everyone, wherever a file lies.
    plain: dict[str, Any] = json.loads(json.dumps(without_paths(settings)))
    return plain


def _hash_data(core: TextCore, examples: list[Example]) -> str:
    seen = [
        [
            example.id,
            [[turn.role, turn.text] for turn in core.task.opening(example)],
            list(example.references),
            dict(example.metadata),
        ]
        for example in examples
    ]
    return _digest(encode(seen))


def _mean_reward(core: TextCore, examples: list[Example], speak: Speaker) -> float:
    played = play_examples(core, SpeakerWriter(core, speak), examples)
    total = compute_rewards(core.reward, [episode.conversation for episode in played]).total
    return round(float(total.mean()), _DIGITS)


def _check_expected(task: SuiteTask, entry: TaskEntry, suite: str) -> None:
    found = {"data": task.data, "lazy": task.lazy, "gold": task.gold}
    what = {"data": "hash of the examples", "lazy": "lazy rule's reward", "gold": "ideal reward"}
    wrong = [
        f"the {what[key]} is {found[key]} and not {value}"
        for key, value in entry.expected.items()
        if found[key] != value
    ]
    if wrong:
        raise ConfigError(
            f"This installation plays {entry.id} otherwise than the suite '{suite}' fixes it: "
            f"{'; '.join(wrong)}. Its results could not be compared with others'. {_REMEDY}"
        )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
