"""The page of the public names, made of `__all__`, signatures and docstrings."""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tools.docs_pages.markdown import code, demoted, inline, plain, render_page, text_of

# The public modules, in the order of the page; `tests/test_public_api.py` holds the same list.
MODULES = (
    "textenv",
    "textenv.rewards",
    "textenv.wrappers",
    "textenv.testing",
    "textenv.benchmark",
    "textenv.chat",
    "textenv.openenv",
    "textenv.plots",
    "agents",
    "agents.integrations.nemo_gym",
    "agents.integrations.sb3_evaluation",
    "agents.integrations.sb3_features",
    "agents.integrations.trl",
    "agents.integrations.trl_tools",
    "agents.integrations.verl",
    "agents.training.agent_evaluation",
    "agents.training.guards",
)
_WIDTH = 88
_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):\n((?:(?: {4}.*)?\n?)*)", re.M)
_STARS: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_ENTRY = re.compile(r"^ {4}([\w*]+): ", re.M)


@dataclass(frozen=True)
class Documented:
    """What there is to tell of a class, a function or a method."""

    name: str
    kind: str  # "class", "function", "constant" or "error"
    signature: str
    text: str  # Markdown, without the sections
    sections: list[tuple[str, list[tuple[str, str]]]]  # title; name and Markdown of each entry
    methods: list[Documented]


def render_api() -> str:
    """Returns the page. A name that several modules export is told where it comes first."""
    told: dict[int, str] = {}
    modules = []
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        members = []
        for name in module.__all__:
            member = getattr(module, name)
            if told.setdefault(id(member), module_name) == module_name:
                members.append(_document(name, member))
        first = plain((inspect.getdoc(module) or "").partition("\n\n")[0])
        errors = [member for member in members if member.kind == "error"]
        others = [member for member in members if member.kind != "error"]
        modules.append({"name": module_name, "text": first, "members": others, "errors": errors})
    return render_page("api", modules=[m for m in modules if m["members"]])


def _document(name: str, member: Any) -> Documented:
    if inspect.isclass(member) and issubclass(member, Exception):
        return Documented(name, "error", "", " ".join(text_of(member).split()), [], [])
    if not callable(member):
        return Documented(name, "constant", f"{name} = {member!r}", "", [], [])
    is_record = inspect.isclass(member) and issubclass(member, BaseModel)
    methods = []
    if inspect.isclass(member) and not is_record:
        methods = [
            _document(f"{name}.{method}", _unwrapped(value))
            for method, value in vars(member).items()
            if not method.startswith("_") and _is_documented(value)
        ]
    return Documented(
        name,
        "class" if inspect.isclass(member) else "function",
        "" if is_record or getattr(member, "_is_protocol", False) else _signature(name, member),
        demoted(text_of(member), 3),
        _sections(member),
        methods,
    )


def _is_documented(value: Any) -> bool:
    function = _unwrapped(value)
    return inspect.isfunction(function) and bool(function.__doc__)


def _unwrapped(value: Any) -> Any:
    if isinstance(value, property):
        return None
    return value.__func__ if isinstance(value, classmethod | staticmethod) else value


def _signature(name: str, member: Any) -> str:
    """Returns how something is called, an argument a line where a line would be too long."""
    signature = inspect.signature(member)
    parts: list[str] = []
    keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls") or parameter.name.startswith("_"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.annotation is parameter.empty:
            if "**options" not in parts:  # those of a record, which have a page of their own
                parts.append("**options")
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            keyword_only = True
        elif parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            parts.append("*")
        parts.append(_parameter(parameter))
    returned = _annotation(signature.return_annotation)
    end = f") -> {returned}" if returned and not inspect.isclass(member) else ")"
    line = f"{name}({', '.join(parts)}{end}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), end])


def _parameter(parameter: inspect.Parameter) -> str:
    stars = _STARS.get(parameter.kind, "")
    annotation = _annotation(parameter.annotation)
    text = f"{stars}{parameter.name}" + (f": {annotation}" if annotation else "")
    if parameter.default is parameter.empty:
        return text
    default = repr(parameter.default).replace("'", '"')
    # What is made anew at each call, or shown as an address, is left out.
    return f"{text} = {'...' if default.startswith('<') else default}"


def _annotation(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _sections(member: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    found = []
    for title, body in _SECTION.findall(inspect.getdoc(member) or ""):
        first, *parts = _ENTRY.split(body)
        entries = [
            (code(name), inline(text)) for name, text in zip(parts[::2], parts[1::2], strict=True)
        ]
        if first.strip():
            entries.insert(0, ("", inline(first)))
        found.append(({"Args": "Arguments"}.get(title, title), entries))
    return found
