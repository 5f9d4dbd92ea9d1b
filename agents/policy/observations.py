"""What a language model can read: observations that are texts, as token ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from textenv.errors import ConfigError

TOKEN_KEYS = {"attention_mask", "input_ids", "remaining"}
SELECT_KEYS = {"attention_mask", "candidate_ids", "candidate_mask", "input_ids"}
# Characters of a space in an error.
_LONGEST_SPACE = 200


def find_action_level(space: spaces.Space[Any]) -> Literal["token", "select"]:
    """Returns the action level of an environment that shows its text as tokens.

    Raises:
        ConfigError: It shows something else, or a wrapper has altered what it shows.
    """
    keys = set(space.spaces) if isinstance(space, spaces.Dict) else set()
    if keys not in (TOKEN_KEYS, SELECT_KEYS):
        raise ConfigError(
            "A language model needs an environment that shows text as tokens, for instance "
            "gymnasium.make('TextSummarize-v0'), whose action_level is token or select; this one "
            f"observes {_shorten(space)}."
        )
    assert isinstance(space, spaces.Dict)
    for key, part in space.items():
        is_row = isinstance(part, spaces.Box) and len(part.shape) == 1
        if (
            not is_row
            or not np.issubdtype(part.dtype, np.integer)
            or (key == "remaining" and part.shape != (1,))
        ):
            raise ConfigError(
                f"A wrapper has altered what the environment shows: its '{key}' is "
                f"{_shorten(part)}. A language model reads token ids as they are, once: leave out "
                "VecNormalize (or give it norm_obs=False), VecFrameStack and their like."
            )
    return "token" if keys == TOKEN_KEYS else "select"


def check_observations(observation: Any, vocab_size: int) -> None:
    """Checks that observations are texts that begin in the first column.

    Args:
        observation: Arrays or tensors by name, with a row for each slot.
        vocab_size: Number of token ids.

    Raises:
        ConfigError: A text is empty, is padded on its left or has gaps, or an id does not exist.
    """
    if not isinstance(observation, Mapping):
        raise ConfigError(
            "An observation is a dict of arrays, as the environment returns it, not a "
            f"{type(observation).__name__}."
        )
    ids, mask = observation["input_ids"], observation["attention_mask"]
    if not len(ids):
        raise ConfigError("There are no observations: give one row or more.")
    rows = (
        (mask[:, 0] != 1) | (mask[:, 1:] > mask[:, :-1]).any(1) | ((mask != 0) & (mask != 1)).any(1)
    )
    if rows.any():
        raise ConfigError(
            f"The attention_mask of row {int(rows.nonzero()[0][0])} is not ones followed by zeros. "
            "A text begins in the first column and is padded on its right: hand on what the "
            "environment returns, without VecNormalize, VecFrameStack or padding on the left."
        )
    wrong = (ids < 0) | (ids >= vocab_size)
    if wrong.any():
        raise ConfigError(
            f"An input_id is {int(ids[wrong][0])}, but the environment's ids end at "
            f"{vocab_size - 1}: make the observation with its own tokenizer."
        )


def _shorten(space: spaces.Space[Any]) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= _LONGEST_SPACE else text[:_LONGEST_SPACE] + " ..."
