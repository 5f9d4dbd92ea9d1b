"""Makes rewards by name, by weights, or from an import path; and takes new names."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, TypeAlias

from textenv.errors import ConfigError, UnknownNameError
from textenv.rewards.base import Reward
from textenv.rewards.catalog import REWARDS, NamedReward, RewardFactory
from textenv.rewards.weighted import WeightedSum
from textenv.targets import load_module

RewardSpec: TypeAlias = str | Reward | Mapping[str, float | Mapping[str, Any]]


def register_reward(name: str, factory: RewardFactory) -> None:
    """Adds a reward, so that `load_reward`, YAML and the command line know it by name.

    Args:
        name: A new name, without a colon.
        factory: Makes the reward; its keyword arguments are the reward's options.

    Raises:
        ConfigError: The name is taken or has a colon, or `factory` cannot be called.
    """
    if name in REWARDS:
        raise ConfigError(f"There is a reward '{name}' already; register yours by another name.")
    if not name or ":" in name:
        raise ConfigError(f"'{name}' cannot name a reward: a colon marks an import path.")
    if not callable(factory):
        raise ConfigError(f"The factory of reward '{name}' is not callable: {factory!r}.")
    REWARDS[name] = NamedReward(factory, bounds=(None, None))


def load_reward(spec: RewardSpec) -> Reward:
    """Makes a reward from its description.

    Args:
        spec: One of:
            - a name in `REWARDS`, such as "rougeL";
            - "module:attribute" or "path/to/file.py:attribute", a reward to import (a class is
              called to make it);
            - a mapping from names or import paths to weights, for a weighted sum: {"rougeL": 1,
              "bleu": 0.5}. {"weight": 0.5, ...} in the place of a weight passes options to the
              factory. A weight of 0 reports a reward without paying it;
            - a reward, returned as it is.

    Raises:
        UnknownNameError: No reward has that name.
        ConfigError: An import path, a weight or an option is not valid.
    """
    if isinstance(spec, str):
        return _make(spec, {})
    if isinstance(spec, Mapping):
        return _weighted_sum(spec)
    if isinstance(spec, type) or not callable(spec):
        raise ConfigError(
            f"{spec!r} is no reward: give a name, 'module:attribute', a mapping from names to "
            "weights, or a callable on episodes."
        )
    return spec


def _weighted_sum(spec: Mapping[str, Any]) -> WeightedSum:
    if not spec:
        raise ConfigError("A sum of rewards needs at least one, such as {'rougeL': 1.0}.")
    parts = []
    for name, entry in spec.items():
        options = dict(entry) if isinstance(entry, Mapping) else {"weight": entry}
        weight = options.pop("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not isfinite(weight):
            raise ConfigError(f"The weight of reward '{name}' must be a number, not {weight!r}.")
        parts.append((name, float(weight), _make(name, options)))
    return WeightedSum(tuple(parts))


def _make(name: str, options: Mapping[str, Any]) -> Reward:
    if name in REWARDS:
        return _call(name, REWARDS[name].load_factory(), options)
    if ":" not in name:
        raise UnknownNameError("reward", name, REWARDS)
    module, _, attribute = name.rpartition(":")
    try:
        found = getattr(load_module(module), attribute)
    except (ImportError, AttributeError, ValueError, OSError) as error:
        raise ConfigError(f"Cannot import reward '{name}': {error}.") from error
    if not callable(found):
        raise ConfigError(f"'{name}' is no reward: {found!r} is not callable.")
    made: Reward = _call(name, found, options) if options or isinstance(found, type) else found
    return made


def _call(name: str, factory: RewardFactory, options: Mapping[str, Any]) -> Reward:
    try:
        return factory(**options)
    except TypeError as error:
        if not options:
            raise ConfigError(
                f"Reward '{name}' cannot be made: {error}. What is registered is a function "
                f"without arguments that makes it: register_reward('{name}', lambda: reward)."
            ) from error
        given = ", ".join(f"'{key}'" for key in options)
        raise ConfigError(f"Reward '{name}' does not take {given} so: {error}.") from error
