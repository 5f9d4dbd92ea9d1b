"""The difficulty levels whose prompts a run plays: data sets of environments of the same task."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from agents.ppo.vec_env import find_text_env
from textenv.datasets import TextDataset, load_dataset
from textenv.episode import TextCore
from textenv.errors import ConfigError
from textenv.registry import environment_row

# Arguments of an environment that its prompts, and ideal answers to them, need so much of.
_BUDGETS = ("max_prompt_tokens", "max_new_tokens", "max_turns")


def load_levels(env: VecEnv, ids: Sequence[str]) -> dict[str, TextDataset]:
    """Loads the data sets of difficulty levels, each of the split that the environment plays.

    The level of the environment's own id is the environment's data set.

    Args:
        env: Environment that plays the levels' prompts.
        ids: Ids of the levels.

    Returns:
        Data sets by id.

    Raises:
        UnknownNameError: There is no environment of an id.
        ConfigError: A level has another task, or needs a larger budget of tokens or turns.
    """
    if not ids:
        return {}
    text_env = find_text_env(env)
    spec = None if text_env is None else text_env.env.spec
    if text_env is None or spec is None:
        raise ConfigError(
            "levels needs an environment given by its id, or made with gymnasium.make_vec."
        )
    core, found = text_env.core, {}
    for id in ids:
        if id == spec.id:
            found[id] = core.dataset()
            continue
        row = environment_row(id).make_kwargs()
        _check_level(id, row, spec.id, spec.kwargs, core)
        found[id] = load_dataset(row["dataset"], core.task, core.split, core.dataset_seed)  # type: ignore[arg-type] # checked inside
    return found


def _check_level(
    id: str, row: Mapping[str, Any], own_id: str, own: Mapping[str, Any], core: TextCore
) -> None:
    """Checks that an environment can play the prompts of a level as the level does."""
    if any(row.get(name) != own.get(name) for name in ("task", "task_kwargs")):
        raise ConfigError(
            f"levels: {id} is another task than {own_id}, whose prompts, replies and rewards it "
            "cannot share. Name levels of one task, such as TextQAEasy-v0 and TextQAHard-v0."
        )
    if row.get("dataset") is None:
        raise ConfigError(f"levels: {id} has no data set of its own, so it has no prompts.")
    defaults = inspect.signature(TextCore).parameters
    for name in _BUDGETS:
        needed, there = row.get(name, defaults[name].default), getattr(core, name)
        if needed > there:
            raise ConfigError(
                f"levels: {id} has {name}={needed}, and the environment {own_id} only {there}. "
                f"Train in the level with the largest budgets, or give the environment "
                f"{name}={needed}."
            )
