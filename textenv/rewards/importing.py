"""Imports the reward that an import path names, and checks that it is one before it is called.

A configuration may name any module, so that what it names must not be called only because it can
be: `subprocess:getoutput` with options would run a command. What counts as a reward, or as what
makes one:

- a function or a class that is defined in code of the user's own: a Python file that is named by
  its path, or a module that is neither Python's own nor installed among the packages;
- elsewhere a function that takes `episodes`, a class whose instances do, or a function that is
  annotated to return such an instance or a `textenv.rewards.Reward`.
"""

from __future__ import annotations

import functools
import inspect
import site
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin, get_type_hints

from textenv.errors import ConfigError, describe_error, did_you_mean
from textenv.import_paths import load_module, missing_module
from textenv.named_code import is_code_name
from textenv.rewards.base import Reward

_PACKAGES = ("textenv", "agents")
_FIRST = "episodes"  # what a reward is called with, by its name


def import_reward(name: str) -> Callable[..., Any]:
    """Imports what "module:attribute" or "path/to/file.py:attribute" names.

    Raises:
        ConfigError: There is no such thing, its module raises, or it is not a reward.
    """
    module, _, attribute = name.rpartition(":")
    problem = (
        "write 'module:attribute'." if not is_code_name(name) else missing_module(module, attribute)
    )
    if problem:
        raise ConfigError(f"Cannot import reward '{name}': {problem}")
    try:
        loaded = load_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise ConfigError(
            f"Cannot import reward '{name}': '{module}' raises {describe_error(error)}."
        ) from error
    if not hasattr(loaded, attribute):
        known = [key for key, value in vars(loaded).items() if key[0] != "_" and callable(value)]
        raise ConfigError(
            f"Cannot import reward '{name}': '{module}' has no '{attribute}'."
            f"{did_you_mean(attribute, known)}"
        )
    found: Any = getattr(loaded, attribute)
    if not callable(found):
        raise ConfigError(f"'{name}' is not a reward: {found!r} is not callable.")
    if not _takes_episodes(found) and not _makes_rewards(found) and not _is_own(found, loaded):
        raise ConfigError(
            f"'{name}' is not a reward, so it is not called: it takes no '{_FIRST}', and is not "
            "defined in a file of yours. Write a function that takes episodes into a file, and "
            "name that: 'my_reward.py:score'."
        )
    made: Callable[..., Any] = found
    return made


def _takes_episodes(found: Any) -> bool:
    """Tells whether something, or the instances of a class, takes episodes by that name."""
    call = getattr(found, "__call__", None) if isinstance(found, type) else found  # noqa: B004 - its signature is needed
    try:
        names = [*inspect.signature(call).parameters]  # type: ignore[arg-type] # None raises, too
    except (TypeError, ValueError):
        return False
    return _FIRST in names[: 2 if isinstance(found, type) else 1]


def _makes_rewards(found: Any) -> bool:
    """Tells whether a function says that it returns a reward."""
    try:
        made = get_type_hints(found).get("return")
    except Exception:  # whatever an annotation raises
        return False
    made = get_origin(made) or made
    return made is Reward or (isinstance(made, type) and _takes_episodes(made))


def _is_own(found: Any, loaded: ModuleType) -> bool:
    """Tells whether something is defined in code of the user's own."""
    if isinstance(found, functools.partial):
        return _is_own(found.func, loaded)
    name = getattr(found, "__module__", None) or type(found).__module__
    module = loaded if name == loaded.__name__ else sys.modules.get(name)
    top = name.partition(".")[0]
    if module is None or (top in (*_PACKAGES, *sys.stdlib_module_names) and top != "__main__"):
        return False
    file = getattr(module, "__file__", None)
    return file is None or not _is_installed(Path(file).resolve())


def _is_installed(file: Path) -> bool:
    """Tells whether a file is Python's own, or lies among the installed packages."""
    folders = {sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    return any(file.is_relative_to(Path(folder).resolve()) for folder in folders)
