"""Records of what the page of environments says about each environment."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from textenv.benchmark.statistics import Estimate
from textenv.episode import TextCore
from textenv.examples import Episode, Example, Turn
from textenv.registry import EnvironmentRow, environment_row, load_registry, registry_path
from textenv.rewards import compute_rewards
from textenv.rollout import play_text
from textenv.vector import make_core

SPLIT = "test"
EXAMPLE = 0  # the index of the example that is shown


@dataclass(frozen=True)
class Talk:
    """What was said after an example's opening, and what it was paid."""

    turns: tuple[Turn, ...]
    reward: float


@dataclass(frozen=True)
class Measurement:
    """How well simple agents do in an environment."""

    digest: str  # hash of all that the numbers depend on; see `tools.docs_pages.measure.digest`
    n_examples: int  # how many examples of the test split the means are over
    random: float  # mean reward of actions drawn uniformly
    empty: float  # mean reward of saying nothing
    gold: float  # mean reward of the ideal answer
    model: Estimate  # mean reward of the embedded model, greedy
    reply: Talk  # what the embedded model says to the example that is shown


@dataclass(frozen=True)
class EnvironmentRecord:
    """What there is to say about an environment."""

    row: EnvironmentRow  # its row of the registry
    core: TextCore  # a slot of it
    task_class: type[Any]  # class of its task, for its docstring
    example: Example  # the example that is shown
    gold: Talk  # the ideal conversation about the example
    measured: Measurement  # scores of simple agents


def own_ids() -> list[str]:
    """Returns the ids of the package's own registry file, in order."""
    return [row.id for row in load_registry(registry_path())]


def make_core_quietly(id: str, n_slots: int = 1) -> TextCore:
    """Makes the slots of an environment, an outdated version without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return make_core(id, n_slots)


def read_record(id: str, core: TextCore, measured: Measurement) -> EnvironmentRecord:
    """Reads everything about an environment that takes no measuring."""
    example = core.dataset(SPLIT)[EXAMPLE]
    gold = play_text(core, example, core.task.gold)
    talk = talk_of(gold, float(compute_rewards(core.reward, [gold]).total[0]))
    return EnvironmentRecord(environment_row(id), core, type(core.task), example, talk, measured)


def talk_of(episode: Episode, reward: float) -> Talk:
    """Returns what was said after the opening."""
    return Talk(episode.turns[episode.n_opening :], reward)


def load_measurements(path: Path) -> dict[str, Measurement]:
    """Reads measurements by id; none if there is no file yet."""
    if not path.exists():
        return {}
    return _MEASUREMENTS.validate_json(path.read_bytes())


def save_measurements(path: Path, measured: Mapping[str, Measurement]) -> None:
    """Writes measurements by id."""
    text = _MEASUREMENTS.dump_json(dict(measured), indent=1, exclude_defaults=True)
    path.write_bytes(text + b"\n")


_MEASUREMENTS: TypeAdapter[dict[str, Measurement]] = TypeAdapter(dict[str, Measurement])
