"""Renders chat templates in a process of its own, which may be killed at any time.

A template comes with a model, and may loop for ever or fill all memory. Reads a JSON object a line,
with `source`, `variables` and the seconds of the processor that it may take, and writes a JSON list
a line: ["text", what was rendered], or ["error", why nothing was].

This file is run as a script. It imports nothing of this package. Its environment is that of
transformers, whose own import would take a second.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

_MEMORY = 1 << 29  # bytes of address space
_LONGEST = 1_000_000  # characters of a rendered conversation
_REASON = 300  # characters of an error


class _GenerationBlocks(Extension):
    """Reads {% generation %}, which marks the agent's turns, as its content."""

    tags = {"generation"}  # noqa: RUF012 - jinja's own type

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        content = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(content, lineno=line)


class _SafeNamespace(Namespace):
    """A namespace without names that begin with an underscore, which reach into Python."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        # A variable may be called self. Attributes of the object itself are the template's.
        names = dict(*args[1:], **kwargs)
        for name in names:
            _check_name(name)
        Namespace.__init__(args[0], names)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        Namespace.__setitem__(self, name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"no attribute {name!r} can be set on a namespace")


class _SafeDict:
    """The function `dict`, without what hangs on the type."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


@lru_cache(maxsize=16)
def _compile(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals.update(
        raise_exception=_refuse,
        strftime_now=_now,
        dict=_SafeDict(),
        namespace=_SafeNamespace,
    )
    return environment.from_string(source)


def _render(source: str, variables: dict[str, Any]) -> str:
    parts, length = [], 0
    for part in _compile(source).generate(**variables):
        parts.append(part)
        length += len(part)
        if length > _LONGEST:
            raise TemplateError(f"it writes more than {_LONGEST:,} characters")
    return "".join(parts)


def main() -> None:
    """Answers one line after the other, until there are no more."""
    replies = sys.stdout
    sys.stdout = sys.stderr
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    replies.write("ready\n")
    replies.flush()
    for line in sys.stdin:
        asked = json.loads(line)
        _limit(asked["seconds"])
        try:
            answer = ["text", _render(asked["source"], asked["variables"])]
        except MemoryError:
            answer = ["error", "it needs more memory than a template is given"]
        except TemplateError as error:
            answer = ["error", str(error)[:_REASON]]
        except Exception as error:
            answer = ["error", f"{type(error).__name__}: {error}"[:_REASON]]
        _limit(0)
        replies.write(json.dumps(answer) + "\n")
        replies.flush()


def _limit(seconds: float) -> None:
    if hasattr(signal, "setitimer"):  # its signal ends the process, whatever it is at
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main()
