"""Errors in the user's words: what is wrong, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from textenv.safe_text import for_terminal

_QUOTED_CHARS = 800


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the nearest known name, else the list of known names."""
    name = str(name)[:_QUOTED_CHARS]
    names = sorted(str(k) for k in known)
    folded = {n.lower(): n for n in names}
    close = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=0.5)
    if close:
        return f" Did you mean '{folded[close[0]]}'?"
    return f" Known: {', '.join(names)}." if names else ""


class TextEnvError(Exception):
    """Base of every error that this package raises on purpose.

    A message that quotes a value of great length is shortened in its middle: it is to be read.
    Control characters in it are shown as signs.
    """

    def __init__(self, message: str = "") -> None:
        if len(message) > 2 * _QUOTED_CHARS:
            start, end = message[:_QUOTED_CHARS], message[-_QUOTED_CHARS:]
            message = f"{start} [... {len(message) - 2 * _QUOTED_CHARS} characters ...] {end}"
        # Half of a surrogate pair could not be printed, and what a row or a file brought must not
        # steer the terminal.
        super().__init__(for_terminal(message.encode("utf-8", "backslashreplace").decode()))


class UnknownNameError(TextEnvError):
    """A name (reward, column, key, dataset, ...) that does not exist."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        super().__init__(f"There is no {kind} '{name}'.{did_you_mean(str(name), known)}")


class ConfigError(TextEnvError):
    """An argument, a configuration key or a value is not valid."""


class UnknownArgumentError(ConfigError, TypeError):
    """An environment has no argument of that name.

    Also a `TypeError` in Python's words, by which TorchRL's GymEnv, say, learns what is not taken.
    """

    def __init__(self, message: str) -> None:
        # gym.make raises a TypeError again, and adds every argument that was right.
        super().__init__(message.partition(" was raised from the environment creator")[0])


class RegistryError(TextEnvError):
    """`envs_registry.yaml`, or a user's own registry file, is not valid."""


class DatasetError(TextEnvError):
    """A dataset cannot be read, or lacks what its task needs."""


class TokenizerError(TextEnvError):
    """A tokenizer cannot be loaded, or cannot be used for token environments."""


class PromptTooLongError(TextEnvError):
    """A prompt does not fit its window even after everything that may be cut was cut."""


class RewardError(TextEnvError):
    """A reward returned the wrong number of scores, or scores that are not finite."""


class ModelError(TextEnvError):
    """A language model cannot be loaded, or does not fit the environment."""
