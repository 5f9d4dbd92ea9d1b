"""Checks of the options by which a reward is made, with messages in the user's words."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from math import isfinite
from numbers import Integral, Real  # those of NumPy are some
from typing import Any

from textenv.errors import ConfigError, did_you_mean

# Options of every entry of a sum, whatever its reward.
ENTRY_OPTIONS = ("weight", "reward")


def check_number(reward: str, option: str, value: object) -> float:
    """Returns an option that has to be a finite number, or raises a ConfigError."""
    try:
        if not isinstance(value, bool) and isinstance(value, Real) and isfinite(value):
            return float(value)
    except OverflowError:  # a whole number beyond all floats
        pass
    raise ConfigError(f"The {option} of reward '{reward}' must be a number, not {value!r}.")


def check_count(reward: str, option: str, value: object) -> None:
    """Refuses an option that counts something and is no whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ConfigError(
            f"Option '{option}' of reward '{reward}' must be a whole number from 1 on, "
            f"not {value!r}."
        )


def check_share(reward: str, option: str, value: object) -> None:
    """Refuses an option that is a share of something and not in (0, 1]."""
    if not 0 < check_number(reward, option, value) <= 1:
        raise ConfigError(
            f"Option '{option}' of reward '{reward}' must be above 0 and at most 1, not {value!r}."
        )


def check_choice(reward: str, option: str, value: object, known: Collection[str]) -> None:
    """Refuses an option that is not one of a few words."""
    if value not in known:
        raise ConfigError(
            f"Reward '{reward}' has no {option} '{value}'.{did_you_mean(str(value), known)}"
        )


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Returns the parameters of a callable; None for the built-in ones that do not tell them."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def check_options(reward: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuses options that a factory does not take, or lacks, or texts in the place of a bool."""
    parameters = parameters_of(factory)
    if parameters is None:
        return
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    yes_or_no = {p.name for p in parameters if p.annotation in (bool, "bool")}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for option in options:
        if not isinstance(option, str):
            raise ConfigError(
                f"An option of reward '{reward}' is called {option!r}, which is not a text. In "
                "YAML yes, no, on and off stand for true and false: put them in quotes."
            )
        if option not in known and not takes_any:
            near = did_you_mean(option, [*known, *ENTRY_OPTIONS])
            raise ConfigError(f"Reward '{reward}' does not take '{option}'.{near}")
        if option in yes_or_no and not isinstance(options[option], bool):
            raise ConfigError(
                f"Option '{option}' of reward '{reward}' is true or false, not {options[option]!r}."
            )
    missing = [p.name for p in parameters if p.name in known and p.default is p.empty]
    missing = [name for name in missing if name not in options]
    if missing:
        names = " and ".join(f"'{name}'" for name in missing)
        example = ", ".join(f"'{name}': ..." for name in missing)
        raise ConfigError(
            f"Reward '{reward}' needs the option{'s' * (len(missing) > 1)} {names}: write "
            f"{{'{reward}': {{{example}}}}}."
        )
