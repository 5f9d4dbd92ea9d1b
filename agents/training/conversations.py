"""Recorded conversations as episodes of an environment, to be learned from like ideal ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from textenv.conversations import Conversation, read_conversation
from textenv.episode import TextCore
from textenv.errors import ConfigError, PromptTooLongError
from textenv.json_lines import read_objects
from textenv.rollout import PlayedEpisode

_SUCH_AS = '{"messages": [{"role": "user", "content": "..."}, ...]}'

_log = logging.getLogger(__name__)


def load_conversations(path: Path, core: TextCore) -> list[PlayedEpisode]:
    """Reads a file of conversations, as the environment would have played them.

    Args:
        path: JSON lines with "messages", or with "prompt" and "completion".
        core: Core of the environment, whose budgets hold. An answer that is longer than
            `max_new_tokens` loses its end, as the environment would have cut it, and a warning
            counts them.

    Raises:
        ConfigError: The file cannot be read, is empty, or a line is no conversation, or has more
            answers than `max_turns`.
        PromptTooLongError: What was said to the agent does not fit `max_prompt_tokens`.
    """
    source = f"'{path}'"
    episodes, n_cut = [], 0
    try:
        with path.open("rb") as lines:
            for where, row in read_objects(lines, source, _SUCH_AS):
                try:
                    episode, is_cut = encode_conversation(core, read_conversation(row, where))
                except PromptTooLongError as error:
                    raise PromptTooLongError(f"{where}: {error}") from None
                except ConfigError as error:
                    told = str(error)
                    raise ConfigError(
                        told if told.startswith(where) else f"{where}: {told}"
                    ) from error
                episodes.append(episode)
                n_cut += is_cut
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}.") from error
    if not episodes:
        raise ConfigError(f"{source} has no rows. Each is an object such as {_SUCH_AS}.")
    if n_cut:
        _log.warning(
            f"{n_cut} of {len(episodes)} conversations of {source} have answers that do not fit "
            f"max_new_tokens={core.max_new_tokens}: these lose their end. Set "
            "env.max_new_tokens=... higher, or leave such rows out."
        )
    return episodes


def encode_conversation(core: TextCore, said: Conversation) -> tuple[PlayedEpisode, bool]:
    """Encodes a conversation as the environment would have played it, unpaid.

    Returns:
        The episode, and whether an answer in it was cut to its budget.

    Raises:
        ConfigError: It has more answers than `max_turns`.
        PromptTooLongError: A message to the agent does not fit its budget.
    """
    tokenizer = core.tokenizer
    n_answers = (len(said.said) + 1) // 2
    if n_answers > core.max_turns:
        raise ConfigError(
            f"the agent answers {n_answers} times, and an episode here has max_turns="
            f"{core.max_turns}. Set env.max_turns={n_answers}, or leave such rows out."
        )
    ids, _ = tokenizer.encode_opening(said.opening, core.max_prompt_tokens)
    parts, is_cut = [(ids, False)], False
    for turn in said.said:
        if turn.role == "assistant":
            ids = tokenizer.encode_turn(turn.text, core.max_new_tokens)
            is_cut |= ids[-1] != tokenizer.end_id
        else:
            closed = ids[-1] == tokenizer.end_id
            ids, _ = tokenizer.encode_reply(turn, core.max_prompt_tokens, closed)
        parts.append((ids, turn.role == "assistant"))
    input_ids = np.concatenate([np.array(ids, np.int32) for ids, _ in parts])
    mask = np.concatenate([np.full(len(ids), is_agents) for ids, is_agents in parts])
    return PlayedEpisode(input_ids, mask, np.zeros(len(input_ids), np.float32)), is_cut


def draw_recorded(
    episodes: Sequence[PlayedEpisode], rng: np.random.Generator, n: int
) -> list[PlayedEpisode]:
    """Draws episodes at random, each time from all of them."""
    return [episodes[i] for i in rng.integers(len(episodes), size=n)]
