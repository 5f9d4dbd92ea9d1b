"""Keys and passwords: read from the environment, refused in configurations, masked in all else.

A secret has no place in a configuration, since that is written down with a run, shown on pages and
sent to trackers: `refuse_secrets` says so before anything is written. What may hold one all the
same (an error that quotes, an answer of a server, a file that was written elsewhere) passes through
`mask_text` or `mask_secrets`.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

DEFAULT_KEY = "OPENAI_API_KEY"
MASK = "***"

_LEAST_CHARS = 8  # of a value in the environment that is masked: shorter ones are words
_WORDS = (
    r"api[-_]?(?:key|token|secret)|(?:access|auth|bearer|hf|secret)[-_]?(?:key|token)|"
    r"password|passwd|passphrase|secret|credentials?|authorization"
)
# Names of options and headers: "api_key", "my_api_key", "x-api-key".
_NAME = re.compile(rf"(?:.*[-_.])?(?:{_WORDS})", re.IGNORECASE)
# "token" may be a token of a text: what is long and without a space or a bracket is none.
_TOKEN = re.compile(r"(?:(?:hub|user|refresh|session|private)[-_])?token", re.IGNORECASE)
_TOKEN_VALUE = re.compile(r"(?!<)[!-~]{16,}")
_LEAST_NUMBER = 10_000  # a smaller one is the weight of a reward
# Names of environment variables whose values are secrets.
_VARIABLE = re.compile(rf"(?:.*_)?(?:{_WORDS}|token)", re.IGNORECASE)
_READABLE = re.compile(r"\w*API_(?:KEY|TOKEN)\w*", re.ASCII)  # those that a judge may send
_IN_QUERY = rf"(?:{_WORDS}|token|key|sig|signature|auth|pass|pwd)"

_MASKED = [
    # http://user:password@host; a password may hold anything but blanks and quotes.
    # Lengths are bounded, since a text of a mebibyte may consist of beginnings alone.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s\"'<>]{0,500}@", re.IGNORECASE), rf"\1{MASK}@"),
    (re.compile(rf"([?&;]{_IN_QUERY}=)[^\s&\"'#<>]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    # 'api_key': 'value', api_key: value, api_key=value, {"api_key": "value"} in JSON in JSON.
    (
        re.compile(
            rf"((?<![a-z0-9])(?:{_WORDS})\\*[\"']?\s*[:=]\s*)"
            r"(?:\\*\"[^\"]*\"|\\*'[^']*'|(?!\*\*\*|None\b|null\b|\.\.\.)[^\s,;}\])\"']+)",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # Keys that show by their form whose they are.
    (
        re.compile(r"\b(?:sk|hf|ghp|gsk|xai|nvapi)[-_](?=[A-Za-z_-]{0,40}[0-9])[A-Za-z0-9_-]{12,}"),
        MASK,
    ),
]
_ADDRESS = re.compile(r"\s*[a-z][a-z0-9+.-]*://\S+\s*", re.IGNORECASE)
_known: set[str] = set()


def read_key(variable: str = DEFAULT_KEY) -> str | None:
    """Returns the key that an environment variable holds, which is masked from now on.

    Raises:
        ConfigError: The variable's name is not that of a key, or it holds something else.
    """
    from textenv.errors import ConfigError

    # Else the configuration of somebody else could have any secret sent to an address of theirs.
    if not isinstance(variable, str) or not _READABLE.fullmatch(variable):
        raise ConfigError(
            "api_key_env names an environment variable, with API_KEY or API_TOKEN in its name, "
            f"such as {DEFAULT_KEY}. Give the name, not the key itself."
        )
    key = os.environ.get(variable, "").strip()
    if not key:
        return None
    _known.add(key)
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"The environment variable {variable} holds no key: there is a line break in it, or a "
            "letter that keys do not have."
        )
    return key


def mask_text(text: str) -> str:
    """Returns a text with asterisks in place of keys and passwords."""
    for value in sorted(_values(), key=len, reverse=True):
        text = text.replace(value, MASK)
    for pattern, instead in _MASKED:
        text = pattern.sub(instead, text)
    return text


def mask_secrets(value: Any) -> Any:
    """Returns plain values with asterisks in place of keys and passwords."""
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {
            key: MASK if _is_secret(key, item) else mask_secrets(item)
            for key, item in value.items()
        }
    return [mask_secrets(item) for item in value] if isinstance(value, list | tuple) else value


def refuse_secrets(value: Any) -> None:
    """Refuses a configuration that holds a key or a password.

    Raises:
        ConfigError: It does; the message says where, and not what.
    """
    from textenv.errors import ConfigError

    for path in _find(value, ()):
        where = ".".join(map(str, path)) or "The address"
        raise ConfigError(
            f"{where} holds a key or a password. Configurations are written down with a run, so "
            "leave it out, and set an environment variable to it: a judge reads OPENAI_API_KEY, "
            "or the one that its option api_key_env names."
        )


def mask_tracebacks() -> None:
    """Has this process print the tracebacks of unexpected errors without keys and passwords."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(mask_text("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = show


def _values() -> Iterator[str]:
    """Yields the secrets that this process knows."""
    yield from _known
    for name, value in os.environ.items():
        value = value.strip()
        if len(value) >= _LEAST_CHARS and _VARIABLE.fullmatch(name):
            yield value


def _is_secret(name: Any, value: Any) -> bool:
    if not isinstance(name, str) or not value:
        return False
    if isinstance(value, int):
        return value >= _LEAST_NUMBER and bool(_NAME.fullmatch(name))
    if not isinstance(value, str):
        return False
    if name == "api_key_env":  # the key itself in the place of its variable's name
        return not _READABLE.fullmatch(value)
    is_token = _TOKEN.fullmatch(name) and _TOKEN_VALUE.fullmatch(value)
    return bool(is_token or _NAME.fullmatch(name))


def _find(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yields where secrets stand in plain values."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            inside = (*path, name)
            if _is_secret(name, item):
                yield inside
            else:
                yield from _find(item, inside)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _find(item, path)
    elif isinstance(value, str) and _ADDRESS.fullmatch(value) and mask_text(value) != value:
        yield path
