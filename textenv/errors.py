"""Errors in the user's words: what is wrong, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar

from textenv.safe_text import for_terminal
from textenv.secrets import mask_text

_QUOTED_CHARS = 800


class ExitCode(IntEnum):
    """Exit statuses of the command line. The table of docs/reliability.md is this list."""

    DONE = 0  # the command did what it was asked
    UNEXPECTED = 1  # an error that nobody foresaw; its traceback is printed
    REFUSED = 2  # an argument, a configuration, data, a model or a reward is not valid
    STORAGE = 3  # a file or folder cannot be written or read: full, read-only, gone, failing
    DAMAGED = 4  # a file is not what was written: cut, empty, changed
    IN_USE = 5  # another process writes to the folder
    RESOURCES = 6  # memory is spent, the GPU is lost, or a worker process has ended
    GUARD = 7  # a guard of `stop_on` ended a training; its result is whole
    INTERRUPTED = 130  # Ctrl-C, SIGTERM or SIGHUP


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " Did you mean 'x'?" for the nearest known name, else the list of known names."""
    name = str(name)[:_QUOTED_CHARS]
    names = sorted(str(k) for k in known)
    folded = {n.lower(): n for n in names}
    # One wrong letter is half of a short name.
    cutoff = 0.6 if len(name) > 3 else 0.5
    close = difflib.get_close_matches(name.lower(), list(folded), n=1, cutoff=cutoff)
    if close:
        return f" Did you mean '{folded[close[0]]}'?"
    return f" Known: {', '.join(names)}." if names else ""


def shown(value: object) -> str:
    """Returns how Python writes a value of somebody else's; its type's name if it cannot."""
    try:
        return repr(value)
    except Exception:  # its own code, or a number of too many digits
        return f"a {type(value).__name__}"


def describe_error(error: BaseException) -> str:
    """Returns "TYPE: TEXT" of an error of somebody else's code, whose text may fail itself."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be made)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class TextEnvError(Exception):
    """Base of every error that this package raises on purpose.

    A message that quotes a value of great length is shortened in its middle: it is to be read.
    Keys and passwords in it are masked, and control characters shown as signs.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.REFUSED

    def __init__(self, message: str = "") -> None:
        message = mask_text(message)
        if len(message) > 2 * _QUOTED_CHARS:
            start, end = message[:_QUOTED_CHARS], message[-_QUOTED_CHARS:]
            message = f"{start} [... {len(message) - 2 * _QUOTED_CHARS} characters ...] {end}"
        # Half of a surrogate pair could not be printed, and what a row or a file brought must not
        # steer the terminal.
        super().__init__(for_terminal(message.encode("utf-8", "backslashreplace").decode()))


class UnknownNameError(TextEnvError):
    """A name (reward, column, key, dataset, ...) that does not exist."""

    def __init__(
        self, kind: str, name: object, known: Iterable[str], hint: str | None = None
    ) -> None:
        near = did_you_mean(str(name), known) if hint is None else f" {hint}"
        super().__init__(f"There is no {kind} '{name}'.{near}")


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


class DeadlineError(RewardError):
    """A reward, or a whole rollout, took longer than it may."""


class ModelError(TextEnvError):
    """A language model cannot be loaded, or does not fit the environment."""


class StorageError(TextEnvError):
    """A file or folder cannot be written or read: the disk is full, read-only, gone or failing."""

    exit_code = ExitCode.STORAGE


class DamagedError(TextEnvError):
    """A file is not what was written: its checksum differs, or it is cut, empty or missing."""

    exit_code = ExitCode.DAMAGED


class FolderInUseError(TextEnvError):
    """Another process writes to the folder."""

    exit_code = ExitCode.IN_USE


class ResourceError(TextEnvError):
    """Memory is spent, the GPU is lost, or a worker process has ended."""

    exit_code = ExitCode.RESOURCES
