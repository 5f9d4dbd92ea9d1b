"""Spaces of the text level: any Unicode string, and a conversation as messages.

Gymnasium's wrappers and vector environments look up what they need of a space by its class: an
empty observation, and, for `AsyncVectorEnv`, a place where worker processes write observations and
the parent reads them. For arrays that is shared memory of a fixed size. Texts have no largest size,
so each worker writes a file.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeAlias, TypeVar, get_args, overload

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import (
    create_shared_memory,
    read_from_shared_memory,
    write_to_shared_memory,
)
from gymnasium.wrappers.utils import create_zero_array

from textenv.examples import Role

Message: TypeAlias = dict[str, str]
Messages: TypeAlias = tuple[Message, ...]

_T = TypeVar("_T")
_ROLES = get_args(Role)
# What samples are made of: enough to show an agent that text is not just ASCII.
_ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789    .,;:!?'\"-\n"
    "äéñßøżλжя中文字かな한글שלוםمرحبا🙂"
)
_SAMPLE_CHARS = 32
_MEMORY = Path("/dev/shm")  # files in memory, where the system has them


class _TextSpace(gym.Space[_T]):
    """What both spaces share: one is like another of its class, and none is an array."""

    @property
    def is_np_flattenable(self) -> bool:
        """False: a text of any length is no array of a fixed one."""
        return False

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    __hash__ = None  # type: ignore[assignment] # as with every space, which may be mutable


class AnyText(_TextSpace[str]):
    """Every Unicode string, the empty one included.

    `gymnasium.spaces.Text` knows only the characters of a finite set, and a greatest length.
    """

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=str, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> str:
        """Draws up to 32 characters of several scripts."""
        _refuse_masks(mask, probability)
        return _sample_text(self.np_random)

    def contains(self, x: Any) -> bool:
        """True for every string."""
        return isinstance(x, str)


class MessagesSpace(_TextSpace[Messages]):
    """Every conversation: a tuple of messages `{"role": ..., "content": ...}`, none or more.

    Roles are "system", "user" (the environment) and "assistant" (the agent), as chat models have
    them.
    """

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> Messages:
        """Draws a conversation of one to four messages."""
        _refuse_masks(mask, probability)
        rng = self.np_random
        roles = rng.integers(len(_ROLES), size=int(rng.integers(1, 5)))
        return tuple({"role": _ROLES[role], "content": _sample_text(rng)} for role in roles)

    def contains(self, x: Any) -> bool:
        """True for a tuple of messages."""
        return isinstance(x, tuple) and all(
            isinstance(message, dict)
            and message.keys() == {"role", "content"}
            and message["role"] in _ROLES
            and isinstance(message["content"], str)
            for message in x
        )

    def to_jsonable(self, sample_n: Iterable[Messages]) -> list[Any]:
        """Returns conversations as lists, which JSON has in place of tuples."""
        return [list(messages) for messages in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[Messages]:
        """Returns conversations from what `to_jsonable` gave."""
        return [tuple(messages) for messages in sample_n]


def _sample_text(rng: np.random.Generator) -> str:
    n = int(rng.integers(_SAMPLE_CHARS + 1))
    return "".join(_ALPHABET[i] for i in rng.integers(len(_ALPHABET), size=n))


def _refuse_masks(mask: object, probability: object) -> None:
    if mask is not None or probability is not None:
        raise gym.error.Error("Texts are sampled without a mask or probabilities.")


class SharedTexts(Sequence[Any]):
    """The latest observation of each of n worker processes, read whenever it is asked for.

    A deep copy is the tuple of what stands there now: `AsyncVectorEnv` takes one at every step.
    """

    def __init__(self, n: int, empty: Any) -> None:
        parent = _MEMORY if os.access(_MEMORY, os.W_OK) else None
        self._folder = Path(tempfile.mkdtemp(prefix="textenv-", dir=parent))
        self._n = n
        for index in range(n):
            self.write(index, empty)
        self._end = weakref.finalize(self, _remove, self._folder, os.getpid())

    def write(self, index: int, observation: Any) -> None:
        """Replaces the observation of a worker."""
        path = self._folder / str(index)
        path.with_suffix(".new").write_bytes(pickle.dumps(observation))
        os.replace(path.with_suffix(".new"), path)

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return tuple(self)[index]
        number = range(self._n)[index]
        return pickle.loads((self._folder / str(number)).read_bytes())

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self._n))

    def __deepcopy__(self, memo: dict[int, Any]) -> tuple[Any, ...]:
        return tuple(self)

    def __getstate__(self) -> dict[str, Any]:
        # A worker is given a copy, which does not remove the folder when it goes.
        return {"_folder": self._folder, "_n": self._n}


def _remove(folder: Path, owner: int) -> None:
    # A forked worker inherits the object.
    if os.getpid() == owner:
        rmtree(folder, ignore_errors=True)


@create_zero_array.register(AnyText)
@create_zero_array.register(MessagesSpace)
def _make_empty(  # type: ignore[misc] # Gymnasium's stub knows only its own spaces
    space: AnyText | MessagesSpace,
) -> str | Messages:
    return "" if isinstance(space, AnyText) else ()


@create_shared_memory.register(AnyText)
@create_shared_memory.register(MessagesSpace)
def _share(space: AnyText | MessagesSpace, n: int = 1, ctx: object = None) -> SharedTexts:
    return SharedTexts(n, _make_empty(space))


@read_from_shared_memory.register(AnyText)
@read_from_shared_memory.register(MessagesSpace)
def _read(space: AnyText | MessagesSpace, shared_memory: SharedTexts, n: int = 1) -> SharedTexts:
    return shared_memory


@write_to_shared_memory.register(AnyText)
@write_to_shared_memory.register(MessagesSpace)
def _write(
    space: AnyText | MessagesSpace, index: int, value: Any, shared_memory: SharedTexts
) -> None:
    shared_memory.write(index, value)
