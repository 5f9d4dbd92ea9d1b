"""What an OpenEnv environment says and hears, as texts: its fields differ from one to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textenv.errors import ConfigError, UnknownNameError
from textenv.examples import Role, Turn

# Fields that are read, in this order, unless one is named.
TEXT_FIELDS = (
    "text",
    "prompt",
    "question",
    "message",
    "observation",
    "output",
    "content",
    "result",
)
_ROLES: Mapping[object, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def find_action_field(schema: Mapping[str, Any], named: str | None = None) -> str:
    """Returns the field of an action that holds what the agent says.

    Args:
        schema: JSON schema of the action.
        named: The field to use; by default the only one that is a text, or the only such one that
            an action must have.

    Raises:
        ConfigError: There is no such field, or several, or an action needs other fields, too.
        UnknownNameError: The action has no field of that name.
    """
    properties = schema.get("properties")
    fields = dict(properties) if isinstance(properties, dict) else {}
    fields.pop("metadata", None)
    listed = schema.get("required")
    needed = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    required = [name for name in needed if name in fields]
    texts = [name for name, kind in fields.items() if _is_text(kind)]
    if named is not None and named not in fields:
        raise UnknownNameError("field of the action", named, fields)
    found = [named] if named else [name for name in texts if name in required] or texts
    if not found:
        raise ConfigError(
            "This OpenEnv environment has no action that is a text; its fields are "
            f"{_listed(fields)}. Only text environments can be played."
        )
    if len(found) > 1:
        raise ConfigError(
            f"An action of this OpenEnv environment has several texts: {_listed(found)}. Say which "
            "of them the agent writes, with action_field=..."
        )
    others = [name for name in required if name != found[0]]
    if others:
        raise ConfigError(
            f"An action of this OpenEnv environment needs {_listed(others)}, too: an agent that "
            "writes texts cannot give them."
        )
    return found[0]


def read_turns(observation: Mapping[str, Any], field: str | None = None) -> tuple[Turn, ...]:
    """Returns what an observation says: its messages, or else its text.

    Messages with roles stay what they are; a list of other messages is one text of the user's.

    Args:
        observation: Its fields.
        field: The field to read; by default "messages", if there are some, or else the first of
            `TEXT_FIELDS` that says something, or the only text.

    Raises:
        ConfigError: It has no text.
    """
    if field is not None and field not in observation:
        raise UnknownNameError("field of the observation", field, observation)
    value = observation.get(field or "messages")
    if isinstance(value, list):
        messages = [one for one in value if isinstance(one, dict) and _says(one.get("content"))]
        roles = [_role(one) for one in messages]
        if messages and None not in roles:
            return tuple(
                Turn(role, one["content"])
                for role, one in zip(roles, messages, strict=True)
                if role is not None
            )
        if messages:
            return (Turn("user", "\n".join(one["content"] for one in messages)),)
    if field is not None:
        return (Turn("user", value),) if isinstance(value, str) else ()
    texts = {name: text for name, text in observation.items() if _says(text)}
    first = next((texts[name] for name in TEXT_FIELDS if name in texts), None)
    if first is None and len(texts) == 1:
        first = next(iter(texts.values()))
    if first is None and texts:
        raise ConfigError(
            f"An observation of this OpenEnv environment has several texts: {_listed(texts)}. Say "
            "which of them the agent reads, with observation_field=..."
        )
    return () if first is None else (Turn("user", first),)


def opening_of(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Returns the opening of an episode: at least one turn, the last of them the user's.

    Raises:
        ConfigError: Nothing was said, or the agent spoke last.
    """
    if not turns or turns[-1].role != "user":
        raise ConfigError(
            "The first observation of this OpenEnv environment has no text for the agent to answer."
            " Name the field that does, with observation_field=..."
        )
    return tuple(turns)


def said_since(before: Sequence[Turn], now: Sequence[Turn]) -> str:
    """Returns what the environment has said since an earlier observation.

    Some environments show all that was said so far at every step, others what is new.
    """
    known = len(before)
    if len(now) > known and tuple(now[:known]) == tuple(before):
        now = now[known:]
    elif len(now) == known == 1 and now[0].text != before[0].text:
        now = [Turn("user", now[0].text.removeprefix(before[0].text))]
    elif tuple(now) == tuple(before) and known > 1:
        now = ()
    return "\n".join(turn.text.strip() for turn in now if turn.role != "assistant").strip()


def _role(message: Mapping[str, Any]) -> Role | None:
    """Returns our name of a message's role; None where it has none of ours."""
    role = message.get("role")
    return _ROLES.get(role) if isinstance(role, str) else None


def _says(value: object) -> bool:
    return isinstance(value, str) and not (not value or value.isspace())


def _is_text(kind: object) -> bool:
    if not isinstance(kind, dict):
        return False
    choices = kind.get("anyOf")
    kinds = choices if isinstance(choices, list) else [kind]
    names: set[object] = set()
    for one in kinds:
        if isinstance(one, dict):
            told = one.get("type")  # one name, or a list of them
            names.update(str(name) for name in (told if isinstance(told, list) else [told]))
    return "string" in names and names <= {"string", "null"} and "enum" not in kind


def _listed(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"
