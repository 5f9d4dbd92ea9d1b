"""Pages filled in from templates, and pieces of Markdown made of docstrings or of any text."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

_LINE_CHARS = 76  # of fenced text, which pages do not wrap by themselves
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SECTION = re.compile(r"^(Args|Attributes):\n((?:(?: {4}.*)?\n?)*)", re.MULTILINE)
# Of those who write code, and of no page.
_DROPPED = re.compile(r"^(Returns|Raises|Yields):\n((?:(?: {4}.*)?\n?)*)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+): ", re.MULTILINE)


def render_page(name: str, **values: Any) -> str:
    """Fills in the template `<name>.md.j2`, which may use the functions below as filters."""
    pages = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    functions = (text_of, plain, code, fenced, table, link, demoted)
    pages.filters |= {function.__name__: function for function in functions}
    return pages.get_template(f"{name}.md.j2").render(values)


def text_of(documented: object) -> str:
    """Returns a docstring without its sections of named entries.

    Headings are set apart from what follows them by an empty line, as Markdown wants it.
    """
    text = _DROPPED.sub("", _SECTION.sub("", inspect.getdoc(documented) or ""))
    return re.sub(r"^(#+ .*)\n(?!\n)", r"\1\n\n", text, flags=re.MULTILINE).strip()


def entries_of(documented: object) -> dict[str, str]:
    """Returns the named entries of a docstring, such as the arguments that it documents."""
    entries: dict[str, str] = {}
    for section in _SECTION.finditer(inspect.getdoc(documented) or ""):
        _, *parts = _ENTRY.split(section[2])
        texts = (" ".join(text.split()) for text in parts[1::2])
        entries.update(zip(parts[::2], texts, strict=True))
    return entries


def plain(text: str) -> str:
    """Returns text that shows as it is within a line: no HTML, no emphasis, no table cells."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)


def inline(text: str) -> str:
    """Returns text that shows as it is but for its code, which stands between backticks."""
    parts = re.split(r"`([^`]+)`", " ".join(text.split()))
    return "".join(code(part) if i % 2 else _spaced(part) for i, part in enumerate(parts))


def code(text: str) -> str:
    """Returns text in code style, within a line or a table's cell."""
    text = " ".join(text.split()).replace("|", r"\|")
    fence = _fence(text, 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def fenced(text: str, language: str = "text") -> str:
    """Returns text as a block that shows it letter by letter, long lines wrapped."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    wrapped = "\n".join(
        textwrap.fill(line, _LINE_CHARS, replace_whitespace=False, break_on_hyphens=False)
        for line in text.split("\n")
    )
    fence = _fence(text, 3)
    return f"{fence}{language}\n{wrapped}\n{fence}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """Returns a table of cells that are Markdown already."""
    rules = ["---"] * (len(header) - numbers) + ["--:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rules, *rows))


def link(title: str, target: str) -> str:
    """Returns a link to a page or, as "#heading" or "page.md#heading", to a heading."""
    page, hash, heading = target.partition("#")
    return f"[{plain(title)}]({page}{hash}{anchor(heading)})"


def anchor(heading: str) -> str:
    """Returns the name by which GitHub addresses a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def demoted(text: str, levels: int) -> str:
    """Returns Markdown whose headings are that many levels deeper."""
    return re.sub(r"^(#+) ", rf"\1{'#' * levels} ", text, flags=re.MULTILINE)


def _spaced(text: str) -> str:
    """Returns plain text with the spaces around it, which part it from code."""
    if not text.strip():
        return text
    return plain(text).join(" " if end.isspace() else "" for end in (text[:1], text[-1:]))


def _fence(text: str, least: int) -> str:
    """Returns a run of backticks that is longer than any in the text."""
    runs = (len(run) for run in re.findall("`+", text))
    return "`" * max(least, 1 + max(runs, default=0))
