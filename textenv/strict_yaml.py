"""Reads YAML as plain values: no code, no repeated keys, and no more than its size says.

Plain words are what YAML 1.2 takes them for: no, yes, on and off, 12:30, 010, 1_000 and 2024-05-01
are texts, of which PyYAML's YAML 1.1 makes booleans, other numbers and dates. Of a repeated key
YAML itself would silently keep the last. A few hundred bytes of aliases, or of brackets, can stand
for more than any memory holds: such texts are refused before they are built.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter

T = TypeVar("T")

LONGEST = 1_000_000  # characters
LARGEST = 2_000_000  # characters and values, where what aliases stand for is written out
DEEPEST = 60  # lists and mappings within each other
_MOST_DIGITS = 300  # of a whole number
_MOST_DIRECTIVES = 10


def load_yaml(text: str, *, fast: bool = False) -> Any:
    """Returns what a YAML text holds, or raises a YAMLError, for repeated keys, too.

    A fast load parses in C where libyaml is there, seven to ten times as fast; its errors say less.

    Raises:
        yaml.YAMLError: The text is not valid YAML, has a tag other than those of plain values, is
            longer or nested more deeply than a configuration is, or its aliases stand for too much.
    """
    if len(text) > LONGEST:
        raise _RefusedError(f"it has {len(text):,} characters; at most {LONGEST:,} are read")
    try:
        _check_bounds(text, _Parser)
    except _RefusedError:
        raise
    except yaml.YAMLError:
        if fast:
            raise
        _check_bounds(text, yaml.SafeLoader)  # its errors say more
    return yaml.load(text, Loader=_FastLoader if fast else _StrictLoader)


def find_missing_blank(value: Any) -> str | None:
    """Finds a key without a value that has a colon inside, as of "{path:rows.csv}".

    Returns:
        The text with a blank after the colon, as it was probably meant; None if there is none.
    """
    if isinstance(value, list):
        return next(filter(None, map(find_missing_blank, value)), None)
    if not isinstance(value, dict):
        return None
    for key, inner in value.items():
        name, colon, rest = str(key).partition(":")
        if inner is None and colon and name and rest.strip() and not name.endswith(".py"):
            return f"{{{name}: {rest}}}"
        found = find_missing_blank(inner)
        if found is not None:
            return found
    return None


def check_form(name: str, value: Any, form: type[T]) -> T:
    """Makes records of plain values, such as those of a YAML file; lists become tuples.

    The form is a dataclass, or a type such as `dict[str, tuple[str, ...]]`. A ValidationError calls
    the values by the name.
    """
    # The name is a key, so that an error says where: `news.yaml`.kinds.match.summary.
    named = TypeAdapter(dict[str, form], config=ConfigDict(extra="forbid"))  # type: ignore[valid-type]
    return named.validate_python({name: value})[name]


def load_yaml_file(path: Path, form: type[T]) -> T:
    """Reads a YAML file of this package as records; see `check_form`."""
    return check_form(path.name, load_yaml(path.read_text("utf-8"), fast=True), form)


class _RefusedError(yaml.MarkedYAMLError):
    """A text is not read, though YAML could say what it holds."""

    def __init__(self, problem: str, event: Any = None) -> None:
        super().__init__(problem=problem, problem_mark=getattr(event, "start_mark", None))


def _check_bounds(text: str, parser: Any) -> None:
    """Goes through a text without building anything, and refuses what could not be held.

    The parser's own time is linear in a text of bounded depth.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _RefusedError("it holds half of a surrogate pair, which is no character") from error
    if text.startswith("%") + text.count("\n%") > _MOST_DIRECTIVES:
        raise _RefusedError("it has too many lines that begin with %")
    sizes: dict[str, int] = {}  # of what each anchor stands for, written out
    open_at: list[tuple[str | None, int]] = []  # collections: their anchor, and the size before
    size = 0
    for event in yaml.parse(text, Loader=parser):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes and any(event.anchor == name for name, _ in open_at):
                raise _RefusedError(f"'*{event.anchor}' stands in what it stands for", event)
            size += sizes.get(str(event.anchor), 0)
        elif isinstance(event, yaml.ScalarEvent):
            _check_scalar(event)
            size += 1 + len(event.value)
            if event.anchor is not None:
                sizes[event.anchor] = 1 + len(event.value)
        elif isinstance(event, yaml.CollectionStartEvent):
            kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
            if event.tag not in (None, "!", f"{_TAG}{kind}"):
                raise _unknown_tag(event)
            if len(open_at) == DEEPEST:
                raise _RefusedError(f"it is nested more than {DEEPEST} deep", event)
            if event.anchor is not None:
                sizes.pop(event.anchor, None)  # the name may have stood for something before
            open_at.append((event.anchor, size))
            size += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_at.pop()
            if anchor is not None:
                sizes[anchor] = size - before
        if size > LARGEST:
            raise _RefusedError(
                f"written out, what its aliases stand for has more than {LARGEST:,} characters",
                event,
            )


def _check_scalar(event: yaml.ScalarEvent) -> None:
    """Refuses a tag that is not one of plain values, and a text that is none or does not fit."""
    if any("\ud800" <= char <= "\udfff" for char in event.value if char > "\ud7ff"):
        # The escape "\\ud800" can be read, and could not be written again.
        raise _RefusedError("it holds half of a surrogate pair, which is no character", event)
    if event.tag in (None, "!", f"{_TAG}str"):
        if event.tag is None and event.implicit[0] and _is_long_number(event.value):
            raise _RefusedError(f"a number has more than {_MOST_DIGITS} digits", event)
        return
    forms = [_PLAIN[event.tag][0]] if event.tag in _PLAIN else []
    if event.tag == f"{_TAG}float":
        forms.append(r"[-+]?(?:0|[1-9][0-9]*)")
    if event.tag == f"{_TAG}null":
        forms.append("~|null|Null|NULL|")
    if not forms:
        raise _unknown_tag(event)
    if not re.fullmatch("|".join(forms), event.value) or _is_long_number(event.value):
        kind = event.tag.removeprefix(_TAG)
        raise _RefusedError(f"'{event.value[:40]}' is no !!{kind}", event)


def _is_long_number(text: str) -> bool:
    return (
        len(text) > _MOST_DIGITS and re.fullmatch(r"[-+]?[0-9]+|0x[0-9a-fA-F]+", text) is not None
    )


def _unknown_tag(event: Any) -> _RefusedError:
    tag = event.tag.replace(_TAG, "!!")[:80]
    return _RefusedError(f"the tag {tag} is not read: write plain values, which need no tag", event)


class _UniqueKeys(yaml.constructor.SafeConstructor):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_TAG}merge":
                continue
            # As they are written, and as they are read: 1 and 0x1 are one key.
            names = {("text", key.value), ("value", self.construct_object(key))}
            if not seen.isdisjoint(names):
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{key.value}' stands twice", problem_mark=key.start_mark
                )
            seen |= names
        return super().construct_mapping(node, deep)


_TAG = "tag:yaml.org,2002:"
# Tag -> the plain words that are it, and their first characters. A float needs a point, as for
# `yaml.safe_dump`, which writes the text 1e-5 without quotes.
_PLAIN = {
    f"{_TAG}bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    f"{_TAG}int": (r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    f"{_TAG}float": (
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
        r"|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
# Dates, and the key "=", which YAML 1.2 knows no more
_DROPPED = (f"{_TAG}timestamp", f"{_TAG}value")


def _resolve_as_yaml_1_2(loader: type[yaml.SafeLoader]) -> None:
    known = yaml.SafeLoader.yaml_implicit_resolvers.items()
    loader.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in forms if tag not in (*_PLAIN, *_DROPPED)]
        for first, forms in known
    }
    for tag, (form, first) in _PLAIN.items():
        loader.add_implicit_resolver(tag, re.compile(f"(?:{form})$"), list(first))


class _StrictLoader(_UniqueKeys, yaml.SafeLoader):
    pass


_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FastLoader = type("_FastLoader", (_UniqueKeys, _Parser), {})

for _loader in (_StrictLoader, _FastLoader):
    _resolve_as_yaml_1_2(_loader)
