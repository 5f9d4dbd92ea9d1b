"""Spaces of the text level: any Unicode string, and a conversation as messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar, get_args

import gymnasium as gym
import numpy as np

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
