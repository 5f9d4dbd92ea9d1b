"""Words as safe HTML: names stand out in running text, and may break where they are long."""

from __future__ import annotations

import re
from collections.abc import Iterable

from markupsafe import Markup, escape

from textenv.report.numbers import NBSP

_INTERVAL = r"\[[^\[\]\n]{1,30}\]"
_MINUS = re.compile(r"(?<![\w.-])-(?=\.?\d)")
_UNIT = re.compile(r"(?<=\d) (?=(?:sd|nats)\b|%)")
_JOINT = re.compile(r"(?<=[_/.,:-])(?=[^\W\d])")


def emphasise(text: str, names: Iterable[str]) -> Markup:
    """Sets off each of the names in a text.

    Numbers get a true minus sign and keep their unit beside them; intervals such as "[0.1, 0.2]"
    stay on one line.
    """
    text = _UNIT.sub(NBSP, _MINUS.sub("\N{MINUS SIGN}", text))
    ordered = sorted((name for name in names if name), key=len, reverse=True)
    known = "|".join(re.escape(name) for name in ordered)
    pattern = rf"(?<!\w)({known})(?!\w)|({_INTERVAL})" if known else f"(?!)()|({_INTERVAL})"
    pieces: list[Markup] = []
    end = 0
    for match in re.finditer(pattern, text):
        pieces.append(escape(text[end : match.start()]))
        name, interval = match.groups()
        pieces.append(
            Markup("<b>{}</b>").format(breakable(name))
            if name
            else Markup('<span class="whole">{}</span>').format(interval)
        )
        end = match.end()
    return Markup("").join([*pieces, escape(text[end:])])


def code_spans(text: str) -> Markup:
    """Sets what stands between backticks as code."""
    pieces = [
        Markup("<code>{}</code>").format(piece) if i % 2 else escape(piece)
        for i, piece in enumerate(text.split("`"))
    ]
    return Markup("").join(pieces)


def breakable(name: str) -> Markup:
    """Lets a long name break after its underscores, slashes and the like."""
    return Markup("<wbr>").join(_JOINT.split(name))
