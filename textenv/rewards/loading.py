"""Makes rewards by name, by weights, or from an import path; and takes new names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from textenv.errors import (
    ConfigError,
    TextEnvError,
    UnknownNameError,
    describe_error,
    did_you_mean,
)
from textenv.keys import refuse_secrets
from textenv.rewards.base import Reward, name_of
from textenv.rewards.catalog import REWARDS, NamedReward, RewardFactory
from textenv.rewards.dense import potential_terms
from textenv.rewards.importing import import_reward
from textenv.rewards.options import check_number, check_options, parameters_of
from textenv.rewards.parts import Part, WeightedSum

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
            - "module:attribute" or "path/to/file.py:attribute", a reward to import (a class, or a
              function that takes no episodes, is called to make it);
            - a mapping from names or import paths to weights, for a weighted sum: {"rougeL": 1,
              "bleu": 0.5}. {"weight": 0.5, ...} in the place of a weight passes options to the
              factory. A weight of 0 reports a reward without paying it. {"short": {"reward":
              "length", ...}} gives a reward another name, so that it may come twice;
            - a reward, returned as it is.

    Raises:
        UnknownNameError: No reward has that name.
        ConfigError: An import path, a weight or an option is not valid, or is a key or a password.
    """
    if isinstance(spec, str):
        return _make(spec, {})
    if isinstance(spec, Mapping):
        refuse_secrets(spec)
        return _weighted_sum(spec)
    if isinstance(spec, type) or not callable(spec):
        raise ConfigError(
            f"{spec!r} is not a reward: give a name, 'module:attribute', a mapping from names to "
            "weights, or a callable on episodes."
        )
    return spec


def load_part(spec: RewardSpec) -> Part:
    """Makes a reward that is to stand within another one, so not one that pays within the episode.

    A mapping with one entry of weight 1 is that reward, by that name; any other one is a "sum".
    """
    reward = load_reward(spec)
    name = spec if isinstance(spec, str) else name_of(reward)
    if isinstance(spec, Mapping) and isinstance(reward, WeightedSum):
        name = "sum"
        if len(reward.parts) == 1 and reward.parts[0][1] == 1:
            name, _, reward = reward.parts[0]
    if potential_terms(reward):
        raise ConfigError(
            "'dense' pays within the episode, so it stands alone or in a sum: put other rewards "
            f"inside of it, not around it as in {spec!r}."
        )
    return Part(name, reward)


def load_parts(specs: Sequence[RewardSpec], operator: str) -> tuple[Part, ...]:
    """Makes the parts of an operator; no two may have the same name."""
    parts = tuple(map(load_part, specs))
    names = [part.name for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"'{operator}' has two parts called '{name}'. Give one another name: "
                f"{{'another': {{'reward': {repr(name) if name in REWARDS else '...'}}}}}."
            )
    return parts


def _weighted_sum(spec: Mapping[str, Any]) -> WeightedSum:
    if not spec:
        raise ConfigError("A sum of rewards needs at least one, such as {'rougeL': 1.0}.")
    parts = []
    for name, entry in spec.items():
        if not isinstance(name, str):
            raise ConfigError(f"The reward {name!r} must be given by its name, as text.")
        if isinstance(entry, str | list | tuple) or callable(entry):
            key = "of" if name in REWARDS and REWARDS[name].family == "composition" else "reward"
            raise ConfigError(
                f"The weight of reward '{name}' must be a number, not {entry!r}. If that is what "
                f"'{name}' is made of, write {{'{name}': {{'{key}': ...}}}}."
            )
        options = dict(entry) if isinstance(entry, Mapping) else {"weight": entry}
        weight = check_number(name, "weight", options.pop("weight", 1.0))
        named = options.pop("reward", name)
        if not isinstance(named, str) and options:
            given = ", ".join(f"'{key}'" for key in options)
            raise ConfigError(
                f"'{name}' has a reward that takes no options here, but {given} was given."
            )
        reward = _make(named, options) if isinstance(named, str) else load_reward(named)
        parts.append((name, weight, reward))
    return WeightedSum(tuple(parts))


def _make(name: str, options: Mapping[str, Any]) -> Reward:
    if name in REWARDS:
        row = REWARDS[name]
        factory = row.load_factory()
        if row.family == "own" and not options:
            _check_makes_reward(
                name,
                factory,
                {},
                f"register what makes it: register_reward('{name}', lambda: reward)",
            )
        return _call(name, factory, options)
    if ":" not in name and name.endswith(".py"):
        raise ConfigError(f"Name the reward in the file, too: '{name}:NAME'.")
    if ":" not in name:
        hint = f"{did_you_mean(name, REWARDS)} Your own: 'my_reward.py:{name}'."
        raise UnknownNameError("reward", name, REWARDS, hint.strip())
    module = name.rpartition(":")[0]
    if module in REWARDS:
        raise ConfigError(
            f"Cannot import reward '{name}': a weight stands in a mapping: {{{module}: 1}}."
        )
    found = import_reward(name)
    makes_one = bool(options) or isinstance(found, type) or not _takes_episodes(found)
    if options:
        _check_makes_reward(name, found, options, "it takes no options: name what makes it of them")
    made: Reward = _call(name, found, options) if makes_one else found
    return made


def _call(name: str, factory: RewardFactory, options: Mapping[str, Any]) -> Reward:
    check_options(name, factory, options)
    try:
        made = factory(**options)
    except TextEnvError:
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        given = " and ".join(f"'{key}'" for key in options) or "no options"
        raise ConfigError(
            f"Reward '{name}' cannot be made with {given}: {describe_error(error)}."
        ) from error
    if not callable(made):
        raise ConfigError(
            f"'{name}' does not make a reward but {made!r}, which cannot be called with episodes."
        )
    return made


def _takes_episodes(found: Callable[..., Any]) -> bool:
    """Tells whether something has to be called with episodes, or else makes what has to be."""
    parameters = parameters_of(found)
    return parameters is None or any(
        p.kind is p.VAR_POSITIONAL
        or (p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty)
        for p in parameters
    )


def _check_makes_reward(
    name: str, factory: RewardFactory, options: Mapping[str, Any], remedy: str
) -> None:
    """Refuses a reward in the place of what makes it."""
    if isinstance(factory, type):
        return
    missing = [
        p.name
        for p in parameters_of(factory) or ()
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD and p.name not in options
    ]
    if len(missing) == 1:
        raise ConfigError(
            f"Reward '{name}' cannot be made: that needs '{missing[0]}'. If '{missing[0]}' is an "
            f"option, give it; if '{name}' is the reward itself, {remedy}."
        )
