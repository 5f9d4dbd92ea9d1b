"""Conversations as messages, in rows of JSON: what opens them, and what was said then.

    {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
     "n_opening": 1}

is a row of `textenv rollouts`; {"messages": [...]} alone, or {"prompt": [...], "completion":
[...]}, are how trainers take supervised conversations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from textenv.errors import ConfigError
from textenv.examples import Role, Turn

_ROLES = get_args(Role)
_SUCH_AS = '{"role": "user", "content": "..."}'


@dataclass(frozen=True)
class Conversation:
    """A whole conversation.

    Attributes:
        opening: The messages before the agent speaks, one or more.
        said: The agent's turns and the replies to them in turn; the first and the last are the
            agent's.
    """

    opening: tuple[Turn, ...]
    said: tuple[Turn, ...]


def has_conversation(row: Mapping[str, Any]) -> bool:
    """Tells whether a row has a whole conversation, and where its opening ends."""
    return "messages" in row and "n_opening" in row


def read_conversation(row: Mapping[str, Any], where: str) -> Conversation:
    """Reads the conversation of a row.

    Without `n_opening`, the opening of `messages` ends where the assistant speaks first. A
    `prompt` and its `completion` may also be texts.

    Raises:
        ConfigError: It has none, or the turns of the assistant and the user do not alternate after
            the opening. The message begins with `where`.
    """
    if "messages" in row:
        turns = _read_turns(row["messages"], "messages", where)
        spoken = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
        n = row.get("n_opening", spoken[0] if spoken else len(turns))
        if isinstance(n, bool) or not isinstance(n, int) or n < 1 or n >= len(turns):
            raise ConfigError(
                f"{where}: no assistant answers in 'messages', or there is nothing before it."
                if "n_opening" not in row
                else f"{where}: 'n_opening' is {n!r}, of {len(turns)} messages; it is the number "
                "of those before the assistant's first answer."
            )
        opening, said = turns[:n], turns[n:]
    elif "prompt" in row and "completion" in row:
        opening = _read_side(row, "prompt", "user", where)
        said = _read_side(row, "completion", "assistant", where)
    else:
        raise ConfigError(
            f"{where} has no conversation: give 'messages', or 'prompt' and 'completion'; "
            f"messages are such as {_SUCH_AS}."
        )
    for i, turn in enumerate(said):
        if turn.role != ("user" if i % 2 else "assistant"):
            raise ConfigError(
                f"{where}: the {turn.role} speaks where the {'user' if i % 2 else 'assistant'} "
                "should: after the opening they speak in turn, the assistant first."
            )
    if len(said) % 2 == 0:
        raise ConfigError(f"{where}: the last message has to be the assistant's.")
    return Conversation(opening, said)


def _read_side(row: Mapping[str, Any], key: str, role: Role, where: str) -> tuple[Turn, ...]:
    if isinstance(row[key], str):
        return (Turn(role, row[key]),)
    turns = _read_turns(row[key], key, where)
    if not turns:
        raise ConfigError(f"{where}: '{key}' has no messages.")
    return turns


def _read_turns(messages: object, key: str, where: str) -> tuple[Turn, ...]:
    if isinstance(messages, str | bytes) or not isinstance(messages, Sequence):
        raise ConfigError(f"{where}: '{key}' is {messages!r}; give a list of messages: {_SUCH_AS}.")
    turns = []
    for message in messages:
        found = message if isinstance(message, Mapping) else {}
        role, text = found.get("role"), found.get("content")
        if role not in _ROLES or not isinstance(text, str):
            raise ConfigError(
                f"{where}: a message of '{key}' is {message!r}; each is such as {_SUCH_AS}, with "
                f"the role {', '.join(_ROLES)}."
            )
        turns.append(Turn(cast(Role, role), text))
    return tuple(turns)
