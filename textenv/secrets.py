"""Keys and passwords are masked in all that is written or printed.

What may hold one (an error that quotes, an answer of a server, a file that was written elsewhere)
passes through `mask_text` or `mask_secrets`. `textenv.keys` reads keys, and refuses those that
stand in a configuration.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import unquote

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
# Variables that a configuration may name: else that of somebody else could have any secret sent to
# an address of theirs.
READABLE = re.compile(r"\w*API_(?:KEY|TOKEN)\w*", re.ASCII)
_IN_QUERY = rf"(?:{_WORDS}|token|key|sig|signature|auth|pass|pwd)"

_MASKED = [
    # http://user:password@host; a password may hold anything but blanks and quotes.
    # Lengths are bounded, since a text of a mebibyte may consist of beginnings alone.
    # As a path, an address has one slash where it had two.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}:/+)[^\s\"'<>]{0,500}@", re.IGNORECASE), rf"\1{MASK}@"),
    (re.compile(rf"([?&;#]{_IN_QUERY}=)[^\s&\"'#<>]+", re.IGNORECASE), rf"\1{MASK}"),
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


def remember(secret: str) -> None:
    """Has a value masked from now on, wherever it stands."""
    _known.add(secret)


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
            key: _masked(key, item) if _is_secret(key, item) else mask_secrets(item)
            for key, item in value.items()
        }
    return [mask_secrets(item) for item in value] if isinstance(value, list | tuple) else value


def find_secrets(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields where secrets stand in plain values, as the keys that lead there."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            inside = (*path, name)
            if _is_secret(name, item):
                yield inside
            else:
                yield from find_secrets(item, inside)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from find_secrets(item, path)
    elif isinstance(value, str) and _ADDRESS.fullmatch(value) and mask_text(value) != value:
        yield path


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


def _masked(name: str, value: Any) -> str:
    """Masks a secret as a whole; of an address the part alone, where that is all of it."""
    text = mask_text(value) if isinstance(value, str) and name.lower().endswith("url") else MASK
    return MASK if _is_secret(name, text.replace(f"{MASK}@", "")) else text


def _is_secret(name: Any, value: Any) -> bool:
    if not isinstance(name, str) or not value:
        return False
    if isinstance(value, int):
        return value >= _LEAST_NUMBER and bool(_NAME.fullmatch(name))
    if not isinstance(value, str):
        return False
    if name.lower().endswith("url"):  # whatever form it has, and however it is encoded
        plain = unquote(value)
        return "@" in plain or mask_text(plain) != plain
    if name == "api_key_env":  # the key itself in the place of its variable's name
        return not READABLE.fullmatch(value)
    is_token = _TOKEN.fullmatch(name) and _TOKEN_VALUE.fullmatch(value)
    return bool(is_token or _NAME.fullmatch(name))
