"""Reads YAML and refuses repeated keys, of which YAML itself would silently keep the last.

Plain words are what YAML 1.2 takes them for: no, yes, on and off, 12:30, 010 and 1_000 are texts,
of which PyYAML's YAML 1.1 makes booleans and other numbers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter

T = TypeVar("T")


def load_yaml(text: str, *, fast: bool = False) -> Any:
    """Returns what a YAML text holds, or raises a YAMLError, for repeated keys, too.

    A fast load parses in C where libyaml is there, seven to ten times as fast; its errors say less.
    """
    return yaml.load(text, Loader=_FastLoader if fast else _StrictLoader)


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


class _UniqueKeys(yaml.constructor.SafeConstructor):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{key.value}' stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
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


def _resolve_as_yaml_1_2(loader: type[yaml.SafeLoader]) -> None:
    known = yaml.SafeLoader.yaml_implicit_resolvers.items()
    loader.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in forms if tag not in _PLAIN] for first, forms in known
    }
    for tag, (form, first) in _PLAIN.items():
        loader.add_implicit_resolver(tag, re.compile(f"(?:{form})$"), list(first))


class _StrictLoader(_UniqueKeys, yaml.SafeLoader):
    pass


_FastLoader = type("_FastLoader", (_UniqueKeys, getattr(yaml, "CSafeLoader", yaml.SafeLoader)), {})

for _loader in (_StrictLoader, _FastLoader):
    _resolve_as_yaml_1_2(_loader)
