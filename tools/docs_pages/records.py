"""What the page of environments tells of each: its row, its task, an example, its scores."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from textenv.benchmark.statistics import Estimate
from textenv.episode import TextCore
from textenv.examples import Episode, Turn
from textenv.registry import environment_row, load_registry, registry_path
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
    """How well simple agents do in an environment.

    Attributes:
        digest: Of everything that the numbers depend on; see `tools.docs_pages.measure.digest`.
        n_examples: How many examples of the test split the means are over.
        random: Mean reward of actions drawn uniformly.
        empty: Mean reward of saying nothing.
        gold: Mean reward of the ideal answer.
        model: Mean reward of the embedded model, greedy.
        reply: What the embedded model says to the example that is shown.
    """

    digest: str
    n_examples: int
    random: float
    empty: float
    gold: float
    model: Estimate
    reply: Talk


@dataclass(frozen=True)
class EnvironmentRecord:
    """What there is to say about an environment.

    Attributes:
        id: Its Gymnasium id.
        description: One line.
        target: The class of its task, "module:Class".
        task_class: The class itself, for its docstring.
        task_kwargs: Arguments of the class.
        dataset: As in the registry.
        reward: As in the registry.
        level: The action level that it has by default.
        n_candidates: How many replies there are to choose from at select level; 0 if it has none.
        max_turns: Of the agent.
        max_prompt_tokens: Of the environment, in one turn.
        max_new_tokens: Of the agent, in one turn.
        example_id: The example that is shown.
        opening: Its first turns.
        candidates: What there is to choose from after them; () if nothing.
        gold: The ideal conversation.
        measured: Scores.
    """

    id: str
    description: str
    target: str
    task_class: type[Any]
    task_kwargs: Mapping[str, Any]
    dataset: Any
    reward: Any
    level: str
    n_candidates: int
    max_turns: int
    max_prompt_tokens: int
    max_new_tokens: int
    example_id: str
    opening: tuple[Turn, ...]
    candidates: tuple[str, ...]
    gold: Talk
    measured: Measurement


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
    row = environment_row(id)
    example = core.dataset(SPLIT)[EXAMPLE]
    opening = core.task.opening(example)
    gold = play_text(core, example, core.task.gold)
    return EnvironmentRecord(
        id=id,
        description=row.description,
        target=row.task,
        task_class=type(core.task),
        task_kwargs=row.task_kwargs,
        dataset=row.kwargs.dataset,
        reward=row.kwargs.reward,
        level=core.action_level,
        n_candidates=core.task.n_candidates,
        max_turns=core.max_turns,
        max_prompt_tokens=core.max_prompt_tokens,
        max_new_tokens=core.max_new_tokens,
        example_id=example.id,
        opening=opening,
        candidates=core.task.candidates(example, opening) if core.task.n_candidates else (),
        gold=talk_of(gold, float(compute_rewards(core.reward, [gold]).total[0])),
        measured=measured,
    )


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
